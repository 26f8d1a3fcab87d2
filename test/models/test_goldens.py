# SPDX-License-Identifier: Apache-2.0
"""The released networks against their goldens: every inner tensor and the softmax, in float32.

Kernels are regenerated from their names (``golden_files.py``), so these goldens pin padding, dilation, order of
concatenation, layouts and names at once.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import golden_files
import numpy as np
import torch
from torch import Tensor, nn

from ssma_ros.models import SSMA, AdapNetPP, SegmentationNetwork
from ssma_ros.models.tensorflow.names import adapnetpp_names, ssma_names, to_torch
from ssma_ros.models.weights import assign

SOFTMAX_TOLERANCE = 4e-5
PROBE_TOLERANCE = 1e-3

Tensors = dict[str, Tensor]


def _fill(network: SegmentationNetwork, names: dict[str, str], variables: dict[str, np.ndarray]) -> None:
    assert set(names.values()) == set(variables)
    tensors = {key: torch.from_numpy(value) for key, value in to_torch(names, variables).items()}
    assign(network, tensors, "goldens")
    network.eval()


def _record(store: Tensors, key: str, pick: Any, _module: nn.Module, inputs: Any, output: Any) -> None:
    store[key] = pick(inputs, output)


def _watch(store: Tensors, key: str, module: nn.Module, pick: Any = lambda _, output: output) -> None:
    module.register_forward_hook(partial(_record, store, key, pick))


def _watch_encoder(store: Tensors, prefix: str, encoder: Any) -> None:
    backbone = encoder.backbone
    _watch(store, f"{prefix}data_after_bn", backbone.input_norm)
    _watch(store, f"{prefix}conv_7x7_out", backbone.stem)
    _watch(store, f"{prefix}max_pool_out", backbone.pool)
    for number, block in enumerate((backbone.block1, backbone.block2, backbone.block3, backbone.block4), start=1):
        if number != 3:
            _watch(store, f"{prefix}b{number}_out", block)
        for unit, module in enumerate(block, start=1):
            _watch(store, f"{prefix}block{number}_unit{unit}", module, lambda _, output: output[0])
    _watch(store, f"{prefix}skip2", encoder.skips[0])
    _watch(store, f"{prefix}skip1", encoder.skips[1])
    branches = [encoder.easpp.direct, *encoder.easpp.cascades, encoder.easpp.pooling]
    for letter, branch in zip("ABCDE", branches, strict=True):
        _watch(store, f"{prefix}I{letter}", branch)
    _watch(store, f"{prefix}eAspp_out", encoder.easpp.merge)


def _watch_decoder(store: Tensors, trunk: Any, classifier: Any) -> None:
    _watch(store, "deconv_up1", trunk.up1)
    _watch(store, "up1_conv89", trunk.refine1[0])
    _watch(store, "up1", trunk.refine1)
    _watch(store, "deconv_up2", trunk.up2)
    _watch(store, "up2_conv88", trunk.refine2[0])
    _watch(store, "up2_conv95", trunk.refine2)
    _watch(store, "up2", classifier[0])
    _watch(store, "deconv_up3", classifier[1])


def _watch_fusion(store: Tensors, names: tuple[str, str, str, str, str], block: Any) -> None:
    concatenated, reduced, gates, weighted, fused = names
    _watch(store, concatenated, block.reduce, lambda inputs, _: inputs[0])
    _watch(store, reduced, block.reduce, lambda _, output: output.relu())
    _watch(store, gates, block, lambda _, output: output[1])
    _watch(store, weighted, block.merge, lambda inputs, _: inputs[0])
    _watch(store, fused, block.merge)


def _images(name: str) -> list[Tensor]:
    return [torch.from_numpy(i.astype(np.float32)).permute(2, 0, 1)[None] for i in golden_files.network_images(name)]


def _check_softmax(name: str, softmax: Tensor) -> None:
    assert golden_files.softmax_error(name, softmax.permute(0, 2, 3, 1).numpy()) <= SOFTMAX_TOLERANCE


def _check_probes(store: Tensors, probes: Any) -> set[str]:
    """Compare every recorded tensor with its probe; gives the names of the probes that had none."""
    names = {key.removesuffix("|shape") for key in probes.files if key.endswith("|shape")}
    for name in sorted(names & set(store)):
        shape = tuple(int(n) for n in probes[f"{name}|shape"])
        # The pooled branch is recorded before it is broadcast.
        tensor = store[name].expand(-1, -1, shape[1], shape[2]).permute(0, 2, 3, 1)
        assert tuple(tensor.shape) == shape, name
        _, std = probes[f"{name}|mean_std"]
        error = np.abs(tensor.reshape(-1).numpy()[probes[f"{name}|idx"]] - probes[f"{name}|val"]).max()
        assert error <= PROBE_TOLERANCE * std, f"{name}: {error} with std {std}"
        mean_error = abs(float(tensor.mean()) - float(probes[f"{name}|mean_std"][0]))
        assert mean_error <= PROBE_TOLERANCE * std, f"{name}: mean differs by {mean_error}"
    return names - set(store)


@torch.no_grad()
def test_adapnetpp() -> None:
    network = AdapNetPP(12)
    _fill(network, adapnetpp_names(auxiliary_heads=True), golden_files.network_variables("adapnetpp_c12"))
    store: Tensors = {}
    _watch_encoder(store, "", network.encoder)
    head = network.decoder.head
    _watch_decoder(store, network.decoder.trunk, head.classifier)
    # Heads are idle in evaluation, so they are asked directly.
    network.decoder.trunk.register_forward_hook(
        lambda _, __, output: store.update(
            zip(("aux1", "aux2"), (a.softmax(1) for a in head.auxiliary(output.upsampled, (64, 128))), strict=True)
        )
    )
    store["softmax"] = network(*_images("adapnetpp_c12")).softmax(dim=1)
    _check_softmax("adapnetpp_c12", store["softmax"])
    assert _check_probes(store, golden_files.golden("adapnetpp_c12_128x64_probes")) == set()


@torch.no_grad()
def test_ssma() -> None:
    network = SSMA(("rgb", "hha"), 12)
    _fill(network, ssma_names(), golden_files.network_variables("ssma_c12"))
    store: Tensors = {}
    for prefix, encoder in zip(("rgb.", "depth."), network.encoders, strict=True):
        _watch_encoder(store, prefix, encoder)
    trunk: Any = network.trunks[0]
    _watch_decoder(store, trunk, network.head.classifier)
    _watch_fusion(store, ("in1", "ssma_red", "ssma_expand", "in2", "in3"), network.fusion)
    for i in (1, 2):
        names = (f"skip{i}_in1", f"ssma_skip{i}_red", f"ssma_skip{i}_expand", f"skip{i}_in2", f"skip{i}_out")
        _watch_fusion(store, names, network.skip_fusions[i - 1])
        _watch(store, f"att{i}_conv{549 + i}", trunk.attention[i - 1].squeeze)
        _watch(store, f"side_out{i}", trunk.attention[i - 1])
    store["softmax"] = network(*_images("ssma_c12")).softmax(dim=1)
    _check_softmax("ssma_c12", store["softmax"])
    assert _check_probes(store, golden_files.golden("ssma_c12_128x64_probes")) == set()
