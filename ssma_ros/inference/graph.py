"""The whole computation as one PyTorch module: camera-side uint8 images in, small uint8 arrays out.

What is exported, what the PyTorch backend runs and what every other backend is compared with is this module, so
normalisation, softmax and argmax are written once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from ssma_ros.contract import Contract


class SegmentationGraph(nn.Module):
    """A fusion network wrapped in its input contract.

    Args:
        network: ``forward(*images, present=..., return_gates=True)`` → (logits N×C×H×W, gates N×M×h×w), one
            N×3×H×W float image per stream and ``present`` N×M float.
        contract: gives the streams' order, mean and scale, and the temperature.

    Attributes:
        softmax_dtype: the logits are cast to this before temperature, softmax and argmax.
    """

    softmax_dtype = torch.float32
    mean: Tensor
    scale: Tensor

    def __init__(self, network: nn.Module, contract: Contract) -> None:
        super().__init__()
        self.network = network
        self.temperature = contract.temperature
        self.register_buffer("mean", torch.tensor([s.mean for s in contract.streams]).reshape(-1, 1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor([s.scale for s in contract.streams]).reshape(-1, 1, 3, 1, 1))

    def forward(self, *tensors: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Segment one frame.

        Args:
            tensors: one H×W×3 uint8 image per stream, then ``present`` float32 of shape M.

        Returns:
            ``mask`` H×W uint8, ``confidence`` H×W uint8, ``probabilities`` C×H×W uint8, ``gates`` M×h×w float32.
        """
        *images, present = tensors
        logits, gates = self.logits(images, present)
        probabilities = torch.softmax(logits.to(self.softmax_dtype) / self.temperature, dim=1)
        # 0..255 before the maximum, so that confidence is exactly the winner's plane of `probabilities`.
        levels = torch.round(probabilities * 255.0)
        confidence = levels.amax(dim=1)
        # TensorRT converts to uint8 from floating point only, hence the step from int64 over float.
        mask = torch.argmax(logits, dim=1).to(torch.float32)
        return (
            mask.squeeze(0).to(torch.uint8),
            confidence.squeeze(0).to(torch.uint8),
            levels.squeeze(0).to(torch.uint8),
            gates.squeeze(0).to(torch.float32),
        )

    def logits(self, images: list[Tensor], present: Tensor) -> tuple[Tensor, Tensor]:
        """(logits 1×C×H×W, gates 1×M×h×w) of H×W×3 uint8 images."""
        dtype = self.mean.dtype
        planes = []
        for index, image in enumerate(images):
            # Conversion first: TensorRT takes uint8 only at the very edge of a graph.
            plane = image.to(dtype).permute(2, 0, 1).unsqueeze(0)
            planes.append((plane - self.mean[index]) * self.scale[index])
        logits, gates = self.network(*planes, present=present.to(dtype).unsqueeze(0), return_gates=True)
        return logits, gates
