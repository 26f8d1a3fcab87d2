# SPDX-License-Identifier: Apache-2.0
"""Encoders that start as those of trained models, of the same data or of other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ssma_ros.contract import Contract
from ssma_ros.errors import SsmaError
from ssma_ros.models import SSMA, AdapNetPP, save_model
from ssma_ros.models.baselines import Stacking
from ssma_ros.training.fit.initialization import load_encoders

SMALL: dict[str, Any] = {"preset": "forest-mobilenet", "width": 0.25}


@pytest.fixture
def fusion(contract: Contract, tmp_path: Path) -> tuple[SSMA, str]:
    """A fusion of rgb and nir, and where it is saved."""
    torch.manual_seed(1)
    network = SSMA(("rgb", "nir"), 5, **SMALL).eval()
    folder = tmp_path / "fusion"
    save_model(network, replace(contract, network=network.describe()), folder)
    return network, str(folder)


def test_one_stream_of_a_fusion_gives_its_encoder(fusion: tuple[SSMA, str]) -> None:
    donor, path = fusion
    network = AdapNetPP(3, ("red",), **SMALL)
    load_encoders(network, {"red": f"{path}#nir"})
    given = donor.encoders[1].state_dict()
    for name, tensor in network.encoder.state_dict().items():
        assert torch.equal(tensor, given[name]), name


@torch.no_grad()
def test_a_shared_encoder_sees_equal_streams_as_the_donor_sees_one(fusion: tuple[SSMA, str]) -> None:
    donor, path = fusion
    network = Stacking(("red", "nir"), 3, **SMALL).eval()
    load_encoders(network, {"red": f"{path}#rgb", "nir": f"{path}#rgb"})
    image = torch.randn(1, 3, 32, 64)
    expected = donor.encoders[0].eval()(image)
    both = network.encoder(torch.cat([image, image], 1))
    torch.testing.assert_close(both.latent, expected.latent, rtol=1e-4, atol=1e-5)


def test_a_shared_encoder_takes_each_streams_first_convolution(fusion: tuple[SSMA, str]) -> None:
    donor, path = fusion
    network = Stacking(("red", "nir"), 3, **SMALL)
    load_encoders(network, {"nir": f"{path}#nir", "red": f"{path}#rgb"})
    first = next(name for name, value in network.encoder.state_dict().items() if value.dim() == 4)
    own = network.encoder.state_dict()[first]
    for index in range(2):
        assert torch.equal(own[:, 3 * index : 3 * index + 3] * 2, donor.encoders[index].state_dict()[first])


@pytest.mark.parametrize(
    ("network", "encoders", "message"),
    [
        (AdapNetPP(3, ("red",), **SMALL), {"red": "{path}"}, "expected a unimodal one, or one with an encoder for"),
        (AdapNetPP(3, ("red",), **SMALL), {"red": "{path}#hha"}, "no stream 'hha', expected one of rgb, nir"),
        (AdapNetPP(3, ("red",), **SMALL), {"red": "nowhere#rgb"}, "'nowhere': no such file, folder or shipped model"),
        (AdapNetPP(3, ("red",), preset="forest-mobilenet"), {"red": "{path}#rgb"}, "does not fit AdapNetPP"),
        (Stacking(("red", "nir"), 3, **SMALL), {"red": "{path}#rgb"}, "for all its streams; expected red, nir"),
    ],
)
def test_what_does_not_fit_is_refused(
    network: Any, encoders: dict[str, str], message: str, fusion: tuple[SSMA, str]
) -> None:
    with pytest.raises(SsmaError, match=message):
        load_encoders(network, {stream: path.format(path=fusion[1]) for stream, path in encoders.items()})
