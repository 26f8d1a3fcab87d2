# SPDX-License-Identifier: Apache-2.0
"""Pictures of a recorded label topic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssma_ros.errors import SsmaError
from ssma_ros.messages.decode import decoded
from ssma_ros.messages.refusal import RefusedInput

if TYPE_CHECKING:
    from numpy.typing import NDArray


def label_image(message: Any, topic: str) -> NDArray[np.uint8]:
    """H×W raw ids of a label message, as its data set numbers them.

    Args:
        message: Image or CompressedImage.
        topic: for messages.

    Raises:
        SsmaError: the topic is of another encoding than one byte a pixel.
        RefusedInput: this message cannot be read.
    """
    image = decoded(message, topic)
    if image.encoding not in ("mono8", "8UC1"):
        raise SsmaError(f"label topic {topic}: encoding is {image.encoding}, expected mono8 or 8UC1")
    data = np.frombuffer(image.data, np.uint8)
    if image.step < image.width or data.size < image.height * image.step:
        expected = f"{image.height * image.step} (height {image.height} times step {image.step})"
        raise RefusedInput(topic, "data", f"{data.size} bytes", expected)
    return data[: image.height * image.step].reshape(image.height, image.step)[:, : image.width]
