# SPDX-License-Identifier: Apache-2.0
"""The whole computation as one PyTorch module: camera-side uint8 images in, small uint8 arrays out.

What is exported, what the PyTorch backend runs and what every other backend is compared with is this module, so
normalisation, softmax and argmax are written once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ssma_ros.labels.label_set import UNLABELLED

if TYPE_CHECKING:
    from ssma_ros.contract import Contract


class ScoreCalibration(nn.Module):
    """From N×C×H×W logits to the scores whose softmax is published: over the temperature, then scaled by class.

    Args:
        contract: gives temperature and vector scaling.

    Attributes:
        keeps_order: the largest score is the largest logit.
    """

    weights: Tensor
    bias: Tensor

    def __init__(self, contract: Contract) -> None:
        super().__init__()
        self._temperature = contract.temperature
        scaling = contract.vector_scaling
        self.keeps_order = scaling is None
        if scaling is not None:
            self.register_buffer("weights", torch.tensor(scaling.weights).view(1, -1, 1, 1))
            self.register_buffer("bias", torch.tensor(scaling.bias).view(1, -1, 1, 1))

    def forward(self, logits: Tensor) -> Tensor:
        """N×C×H×W scores."""
        scores = logits / self._temperature
        return scores if self.keeps_order else scores * self.weights + self.bias


class SegmentationGraph(nn.Module):
    """A fusion network wrapped in its input contract.

    Args:
        network: ``forward(*images, present=..., return_gates=True)`` → (logits N×C×H×W, gates N×M×h×w), one
            N×3×H×W float image per stream and ``present`` N×M float.
        contract: gives the streams' order, mean and scale, and the calibration.
        dtype: of the network's computation. Normalisation, softmax and argmax are float32 whatever it is.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, network: nn.Module, contract: Contract, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.network = network.to(dtype)
        self.dtype = dtype
        self.calibrate = ScoreCalibration(contract)
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
        scores = self.calibrate(logits)
        probabilities = torch.softmax(scores, dim=1)
        # 0..255 before the maximum, so that confidence is exactly the winner's plane of `probabilities`.
        levels = torch.round(probabilities * 255.0)
        confidence = levels.amax(dim=1)
        # A temperature keeps the order of the classes, so the mask need not wait for it; vector scaling does not.
        mask = self.first_maximum(logits if self.calibrate.keeps_order else scores)
        return (
            mask.squeeze(0).to(torch.uint8),
            confidence.squeeze(0).to(torch.uint8),
            levels.squeeze(0).to(torch.uint8),
            gates.squeeze(0),
        )

    def first_maximum(self, logits: Tensor) -> Tensor:
        """Index of the first largest channel as float32, N×H×W; 255 (unlabelled) where a logit is NaN.

        The same as ``argmax`` for numbers. Written as comparison and minimum because runtimes fuse these, while
        their ArgMax sorts (a tenth of the whole frame in OpenVINO), and because TensorRT converts to uint8 from
        floating point only.
        """
        ids = torch.arange(logits.shape[1], dtype=torch.float32, device=logits.device).reshape(1, -1, 1, 1)
        winners = logits >= logits.amax(dim=1, keepdim=True)
        return torch.where(winners, ids, torch.full_like(ids, UNLABELLED)).amin(dim=1)

    def logits(self, images: list[Tensor], present: Tensor) -> tuple[Tensor, Tensor]:
        """(logits 1×C×H×W, gates 1×M×h×w), both float32, of H×W×3 uint8 images."""
        planes = []
        for index, image in enumerate(images):
            # Conversion first: TensorRT takes uint8 only at the very edge of a graph. Four dimensions before the
            # transposition: OpenVINO then reads it as a layout of the same memory and copies nothing.
            plane = image.to(torch.float32).unsqueeze(0).permute(0, 3, 1, 2)
            planes.append(((plane - self.mean[index]) * self.scale[index]).to(self.dtype))
        logits, gates = self.network(*planes, present=present.to(self.dtype).unsqueeze(0), return_gates=True)
        return logits.to(torch.float32), gates.to(torch.float32)
