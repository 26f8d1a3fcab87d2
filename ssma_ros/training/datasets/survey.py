# SPDX-License-Identifier: Apache-2.0
"""Which streams the samples of a split really have, looked at before anything long is begun on them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tqdm import tqdm

from ssma_ros.errors import SsmaError
from ssma_ros.sensors import SENSORS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ssma_ros.contract import Stream
    from ssma_ros.training.datasets.cache import Sample, Samples


def refuse_blank(samples: Samples, streams: Sequence[Stream], indices: Sequence[int], where: str) -> None:
    """Refuse a stream that no sample has: a network would be trained or scored without it and nothing would say so.

    Where all is well the first sample tells; otherwise samples are encoded until every stream was seen.

    Args:
        samples: of a contract with these streams.
        streams: in the samples' order.
        indices: of the samples that will be used, at least one.
        where: begins the message.

    Raises:
        SsmaError: names the streams and says why they are blank.
    """
    unseen = list(range(len(streams)))
    for index in indices:
        if not unseen:
            return
        sample = samples[index]
        unseen = [i for i in unseen if not shows_something(sample, i, streams[i])]
    if unseen:
        reasons = samples.blank(indices[0])
        empty = "no reading is left in its pictures; check scale and unit of the images"
        named = ", ".join(f"'{streams[i].name}' ({reasons.get(streams[i].name, empty)})" for i in unseen)
        raise SsmaError(f"{where}: blank in all {len(indices)} samples: {named}; expected every stream of the contract "
                        "in some; check the data set's folders, calibration and options")


def shows_something(sample: Sample, index: int, stream: Stream) -> bool:
    """Whether stream ``index`` is there and its picture is not black, nor (of a measurement) all of one value, which is
    what one in a wrong unit becomes."""
    image = sample.images[index]
    if not sample.present[index] or not image.any():
        return False
    measured = any(SENSORS[sensor].pixels == "measurement" for sensor in stream.sensors)
    return not measured or bool((image != image[0, 0]).any())


def survey(samples: Samples, *, progress: str = "") -> list[str]:
    """Read every sample's files, labels included, without encoding them.

    Args:
        samples: to look at.
        progress: text of a progress bar, or none.

    Returns:
        A sentence for each stream that some samples lack.

    Raises:
        SsmaError: a file is missing or wrong, or a label holds an id that the label set does not know.
    """
    count = len(samples)
    lacking: dict[str, int] = {}
    reasons: dict[str, str] = {}
    with ThreadPoolExecutor() as pool:
        found = pool.map(samples.blank, range(count))
        for blank in tqdm(found, total=count, desc=progress, unit="sample", disable=not progress, leave=False):
            for stream, reason in blank.items():
                lacking[stream] = lacking.get(stream, 0) + 1
                reasons.setdefault(stream, reason)
    return [f"stream '{s}' is blank in {n} of {count} samples ({reasons[s]})" for s, n in lacking.items()]
