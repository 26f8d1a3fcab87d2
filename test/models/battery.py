# SPDX-License-Identifier: Apache-2.0
"""What every network must pass; a test class inherits it and names the network."""

from __future__ import annotations

import copy
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ssma_ros.contract import Contract, Stream
from ssma_ros.labels import load_label_set
from ssma_ros.models import SegmentationNetwork, build_network, count_parameters, load_model, save_model

#: Half as wide as the robot's network, and with narrow heads, so that a test takes a fraction of a second.
SMALL: dict[str, Any] = {
    "backbone": "mobilenet_v2",
    "width": 0.25,
    "easpp_channels": 32,
    "easpp_bottleneck": 8,
    "skip_channels": 8,
    "decoder_channels": 16,
    "auxiliary_heads": True,
}
#: Relative error two float32 evaluations of one network may differ by, when only the order of sums changes.
REORDERED = 1e-4


class NetworkBattery:
    """Inherit and set ``name`` and, where they differ, modalities and options."""

    name: ClassVar[str]
    modalities: ClassVar[tuple[str, ...]] = ("rgb", "hha", "evi")
    options: ClassVar[dict[str, Any]] = {}
    #: H×W of the gates is that of the input over this.
    latent_stride: ClassVar[int] = 16
    classes: ClassVar[int] = 5

    @pytest.fixture
    def network(self) -> SegmentationNetwork:
        """A network in evaluation mode whose running statistics fit its random weights."""
        return copy.deepcopy(_settled(type(self)))

    def build(self, **changes: Any) -> SegmentationNetwork:
        description = {"name": self.name, "modalities": self.modalities, **SMALL, **self.options, **changes}
        return build_network(description, self.classes)

    def images(self, batch: int = 2, height: int = 32, width: int = 64, seed: int = 0) -> list[Tensor]:
        generator = torch.Generator().manual_seed(seed)
        return [torch.randn(batch, 3, height, width, generator=generator) for _ in self.modalities]

    @pytest.mark.parametrize(("height", "width"), [(32, 64), (48, 48), (80, 16)])
    @torch.no_grad()
    def test_shapes(self, network: SegmentationNetwork, height: int, width: int) -> None:
        images = self.images(2, height, width)
        logits, gates = network(*images, return_gates=True)
        assert logits.shape == (2, self.classes, height, width)
        stride = self.latent_stride
        assert gates.shape == (2, len(self.modalities), height // stride, width // stride)
        assert gates.min() >= 0
        assert gates.max() <= 1 + 1e-6
        assert torch.equal(network(*images), logits)
        same, shares = network(*images, return_shares=True)
        assert relative_error(same, logits) < REORDERED
        assert shares.shape == gates.shape
        torch.testing.assert_close(shares.sum(dim=1), torch.ones_like(shares[:, 0]), rtol=0, atol=1e-5)
        network.train()
        trained, auxiliary = network(*images)
        assert trained.shape == logits.shape
        assert [a.shape for a in auxiliary] == [logits.shape] * 2

    def test_without_auxiliary_heads(self) -> None:
        network = self.build(auxiliary_heads=False).train()
        assert network(*self.images())[1] == ()
        assert not [name for name, _ in network.named_parameters() if "auxiliary" in name]

    def test_gradients_reach_every_parameter(self) -> None:
        torch.manual_seed(1)
        network = self.build().train()
        logits, auxiliary = network(*self.images(4, 64, 64))
        targets = torch.randint(0, self.classes, (4, 64, 64))
        loss = sum(nn.functional.cross_entropy(x, targets) for x in (logits, *auxiliary))
        assert isinstance(loss, Tensor)
        loss.backward()
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
            assert parameter.grad.abs().max() > 0, name

    @torch.no_grad()
    def test_save_and_load(self, network: SegmentationNetwork, tmp_path: Path) -> None:
        contract = self.contract(network)
        save_model(network, contract, tmp_path / "model.safetensors")
        loaded = load_model(tmp_path / "model.safetensors")
        assert not loaded.training
        assert loaded.contract == contract
        assert loaded.describe() == network.describe()
        images = self.images()
        assert torch.equal(loaded(*images), network(*images))

    def contract(self, network: SegmentationNetwork) -> Contract:
        encodings = {"rgb": "bgr", "hha": "hha", "evi": "evi"}
        streams = tuple(Stream(name, encodings[name]) for name in self.modalities)
        return Contract(64, 32, streams, load_label_set("synthetic_forest"), network=network.describe())

    def test_description_builds_the_same_network(self, network: SegmentationNetwork) -> None:
        again = build_network(network.describe(), self.classes)
        assert again.describe() == network.describe()
        assert count_parameters(again) == count_parameters(network)
        shapes = {name: t.shape for name, t in network.state_dict().items()}
        assert {name: t.shape for name, t in again.state_dict().items()} == shapes

    @torch.no_grad()
    def test_evaluation_is_deterministic(self, network: SegmentationNetwork) -> None:
        images = self.images()
        first, gates = network(*images, return_gates=True)
        second, same_gates = network(*images, return_gates=True)
        assert torch.equal(first, second)
        assert torch.equal(gates, same_gates)
        # And no sample sees another one.
        alone = network(*(image[:1] for image in images))
        assert relative_error(alone, first[:1]) < REORDERED

    def test_batch_of_one_trains(self) -> None:
        torch.manual_seed(2)
        network = self.build().train()
        logits, auxiliary = network(*self.images(1, 32, 32))
        assert isinstance(logits, Tensor)
        loss = logits.square().mean() + sum(a.square().mean() for a in auxiliary)
        loss.backward()
        for name, tensor in (*network.named_parameters(), *network.named_buffers()):
            assert torch.isfinite(tensor).all(), name

    @torch.no_grad()
    def test_blank_modality_is_gated_off_by_sample(self, network: SegmentationNetwork) -> None:
        for blank in range(len(self.modalities)):
            present = torch.ones(2, len(self.modalities))
            present[0, blank] = 0
            images = self.images()
            logits, gates = network(*images, present=present, return_gates=True)
            assert gates[0, blank].abs().max() == 0
            shares = network(*images, present=present, return_shares=True)[1]
            assert shares[0, blank].abs().max() == 0
            left = 1.0 if len(self.modalities) > 1 else 0.0
            torch.testing.assert_close(shares[0].sum(dim=0), torch.full_like(shares[0, 0], left), rtol=0, atol=1e-5)
            images[blank] = images[blank] + 3.0
            other = network(*images, present=present)
            assert torch.equal(other[0], logits[0])
            assert not torch.equal(other[1], logits[1])

    @torch.no_grad()
    def test_all_present_equals_no_mask(self, network: SegmentationNetwork) -> None:
        images = self.images()
        everything = torch.ones(2, len(self.modalities))
        torch.testing.assert_close(network(*images, present=everything), network(*images), rtol=1e-5, atol=1e-5)

    @torch.no_grad()
    def test_nothing_present_is_finite(self, network: SegmentationNetwork) -> None:
        nothing = torch.zeros(2, len(self.modalities))
        logits, gates, shares = network(*self.images(), present=nothing, return_gates=True, return_shares=True)
        assert torch.isfinite(logits).all()
        assert gates.abs().max() == 0
        assert shares.abs().max() == 0

    def test_wrong_inputs_are_named(self, network: SegmentationNetwork) -> None:
        images = self.images()
        with pytest.raises(ValueError, match=f"{len(images) + 1} images, expected {len(images)}"):
            network(*images, images[0])
        with pytest.raises(ValueError, match=r"is 2x3x30x64, expected Nx3xHxW with H and W multiples of 16"):
            network(*(image[:, :, :30] for image in images))
        with pytest.raises(ValueError, match=r"present: shape is \(1, 9\)"):
            network(*images, present=torch.ones(1, 9))

    @torch.no_grad()
    def test_channels_last(self, network: SegmentationNetwork) -> None:
        images = self.images()
        expected = network(*images)
        network.to(memory_format=torch.channels_last)
        actual = network(*(image.to(memory_format=torch.channels_last) for image in images))
        assert relative_error(actual, expected) < REORDERED

    @torch.no_grad()
    def test_autocast(self, network: SegmentationNetwork) -> None:
        """Lower precision costs what its rounding explains.

        Random weights amplify rounding errors. By how much shows in float32 against float64; bfloat16 and float16
        must not be worse than twice the same multiple of their own rounding unit.
        """
        images = self.images()
        present = torch.ones(2, len(self.modalities))
        single = network(*images, present=present)
        lower = {}
        for dtype in (torch.bfloat16, torch.float16):
            with torch.autocast("cpu", dtype):
                lower[dtype] = network(*images, present=present).float()
        exact = network.double()(*(image.double() for image in images), present=present).float()
        amplification = relative_error(single, exact) / torch.finfo(torch.float32).eps
        for dtype, actual in lower.items():
            assert relative_error(actual, exact) <= 2 * amplification * torch.finfo(dtype).eps

    @pytest.mark.slow
    def test_export(self, network: SegmentationNetwork) -> None:
        self.check_export(network)

    @torch.no_grad()
    def check_export(self, network: SegmentationNetwork) -> None:
        """The graph is free of data-dependent steps and keeps the modality flags as an input."""
        images = self.images(1)
        wrapped = _Positional(network).eval()
        arguments = (*images, torch.ones(1, len(images)))
        program = torch.export.export(wrapped, arguments).module()
        for flags in _flag_rows(len(images)):
            expected = wrapped(*images, flags)
            actual = program(*images, flags)
            for a, e in zip(actual, expected, strict=True):
                torch.testing.assert_close(a, e, rtol=1e-4, atol=1e-4)

    @pytest.mark.slow
    @torch.no_grad()
    def test_onnx(self, network: SegmentationNetwork, tmp_path: Path) -> None:
        onnxruntime = pytest.importorskip("onnxruntime")
        images = self.images(1)
        wrapped = _Positional(network).eval()
        names = [*self.modalities, "present"]
        path = tmp_path / "network.onnx"
        torch.onnx.export(
            wrapped,
            (*images, torch.ones(1, len(images))),
            path,
            dynamo=True,
            input_names=names,
            output_names=["logits", "gates"],
            verbose=False,
        )
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        for flags in _flag_rows(len(images)):
            feeds = {n: t.numpy() for n, t in zip(names, [*images, flags], strict=True)}
            # The exporter leaves out an input that no output depends on.
            used = {i.name for i in session.get_inputs()}
            actual = session.run(None, {n: a for n, a in feeds.items() if n in used})
            for a, e in zip(actual, wrapped(*images, flags), strict=True):
                # Of the size of what is compared: logits start with a deviation of four.
                np.testing.assert_allclose(a, e.numpy(), rtol=1e-3, atol=1e-3 * max(1.0, float(e.std())))

    @pytest.mark.slow
    def test_compile(self, network: SegmentationNetwork) -> None:
        """Captured whole, without a graph break; code generation is tried on one network (it takes a minute)."""
        self.check_compile(network, "aot_eager")

    @torch.no_grad()
    def check_compile(self, network: SegmentationNetwork, backend: str) -> None:
        images = self.images()
        present = torch.ones(2, len(self.modalities))
        expected = network(*images, present=present)
        # All networks share one forward, whose recompilations are counted: each starts afresh.
        torch.compiler.reset()
        actual = torch.compile(network, fullgraph=True, backend=backend)(*images, present=present)
        assert relative_error(actual, expected) < REORDERED


@lru_cache(maxsize=1)
def _settled(battery: type[NetworkBattery]) -> SegmentationNetwork:
    """The settled network of the battery that runs now; its tests work on copies."""
    torch.manual_seed(0)
    network = battery().build()
    settle(network)
    return network


class _Positional(nn.Module):
    """Graphs have positional inputs: the images, then the flags."""

    def __init__(self, network: SegmentationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        logits, gates = self.network(*tensors[:-1], present=tensors[-1], return_gates=True)
        return logits, gates


def _flag_rows(count: int) -> list[Tensor]:
    rows = [torch.ones(1, count)]
    for i in range(count if count > 1 else 0):
        rows.append(torch.ones(1, count))
        rows[-1][0, i] = 0
    return rows


def settle(network: SegmentationNetwork) -> None:
    """Give every BN the statistics of one random batch, then switch to evaluation."""
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        network.train()(*(torch.randn(4, 3, 64, 64) for _ in network.modalities))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()


def relative_error(actual: Tensor, expected: Tensor) -> float:
    """Root mean square of the difference over that of ``expected``."""
    return float((actual - expected).square().mean().sqrt() / expected.square().mean().sqrt())
