# SPDX-License-Identifier: Apache-2.0
"""A fusion network small enough to export in a second, with the blocks that export has to get right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ssma_ros.contract import Contract, Stream
from ssma_ros.labels import load_label_set
from ssma_ros.models import SSMA, save_model


class ToyFusion(nn.Module):
    """Stride-2 conv + BN + ReLU per stream, sigmoid gates, image-level mean, transposed convolutions to full size."""

    def __init__(self, modalities: int = 2, classes: int = 5, width: int = 16) -> None:
        super().__init__()
        self.stems = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
                nn.Conv2d(width, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            )
            for _ in range(modalities)
        )  # fmt: skip
        channels = modalities * width
        self.gate = nn.Conv2d(channels, channels, 3, 1, 1)
        self.fuse = nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width))
        self.pool = nn.Sequential(nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.up = nn.Sequential(nn.ConvTranspose2d(width, width, 4, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.classify = nn.Sequential(nn.ConvTranspose2d(width, classes, 4, 2, 1, bias=False), nn.BatchNorm2d(classes))

    def forward(
        self, *images: Tensor, present: Tensor | None = None, return_gates: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Logits N×C×H×W, with ``return_gates`` also N×M×h×w."""
        features = [stem(image) for stem, image in zip(self.stems, images, strict=True)]
        if present is not None:
            features = [f * present[:, i].reshape(-1, 1, 1, 1) for i, f in enumerate(features)]
        x = torch.cat(features, dim=1)
        s = torch.sigmoid(self.gate(x))
        f = self.fuse(x * s)
        f = f * self.pool(f.mean(dim=(2, 3), keepdim=True)) + f
        logits = self.classify(self.up(f))
        gates = torch.stack([g.mean(dim=1) for g in s.chunk(len(features), dim=1)], dim=1)
        return (logits, gates) if return_gates else logits


def toy_contract(width: int = 64, height: int = 32) -> Contract:
    """Two streams (bgr colour and HHA) for the five classes of the synthetic forest."""
    return Contract(
        width=width,
        height=height,
        streams=(
            Stream("color", "bgr", mean=(104.0, 117.0, 123.0), scale=(0.017, 0.0175, 0.018)),
            Stream("hha", "hha", mean=(128.0, 128.0, 128.0), scale=(0.01, 0.01, 0.01)),
        ),
        labels=load_label_set("synthetic_forest"),
        network={"name": "ToyFusion"},
        temperature=1.5,
    )


def toy_network(seed: int = 0, **arguments: int) -> ToyFusion:
    """A ToyFusion in eval mode whose BN statistics are not the identity."""
    torch.manual_seed(seed)
    network = ToyFusion(**arguments)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2.0)
            module.weight.data.uniform_(0.5, 2.0)
            module.bias.data.normal_(0, 0.3)
    return network.eval()


def smooth_image(random: np.random.Generator, width: int, height: int) -> np.ndarray:
    """An H×W×3 uint8 image of blobs: noise would leave no class decided."""
    coarse = random.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return np.repeat(np.repeat(coarse, 8, axis=0), 8, axis=1)


def example_frames(count: int, seed: int = 1) -> list[dict[str, np.ndarray]]:
    """Inputs of the toy graph for some frames, ``present`` included."""
    contract = toy_contract()
    random = np.random.default_rng(seed)
    return [
        {
            **{name: smooth_image(random, contract.width, contract.height) for name in contract.modalities},
            "present": np.ones(len(contract.streams), np.float32),
        }
        for _ in range(count)
    ]


def robot_weights(folder: Path) -> Path:
    """Weights of an untrained robot network for the toy contract's streams, with their contract; their file."""
    torch.manual_seed(0)
    network = SSMA(("color", "hha"), 5, preset="forest-mobilenet").eval()
    save_model(network, replace(toy_contract(), network=network.describe()), folder)
    return folder / "weights.safetensors"
