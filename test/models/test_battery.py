# SPDX-License-Identifier: Apache-2.0
"""Every network, and SSMA in each of its forms, through the one battery."""

from __future__ import annotations

from typing import ClassVar

import pytest
from models.battery import NetworkBattery

from ssma_ros.models import SegmentationNetwork


class TestAdapNetPP(NetworkBattery):
    name = "AdapNetPP"
    modalities = ("rgb",)


@pytest.mark.slow
class TestAdapNetPPReleased(NetworkBattery):
    name = "AdapNetPP"
    modalities = ("rgb",)
    options: ClassVar = {"backbone": "preact_resnet50"}


@pytest.mark.slow
class TestAdapNetPPResNet50(NetworkBattery):
    name = "AdapNetPP"
    modalities = ("rgb",)
    options: ClassVar = {"backbone": "resnet50"}


class TestAdapNetPPERFNet(NetworkBattery):
    name = "AdapNetPP"
    modalities = ("rgb",)
    options: ClassVar = {"backbone": "erfnet"}
    latent_stride = 8


class TestSSMA(NetworkBattery):
    name = "SSMA"

    def test_quick_export(self, network: SegmentationNetwork) -> None:
        self.check_export(network)

    @pytest.mark.slow
    def test_generated_code(self, network: SegmentationNetwork) -> None:
        self.check_compile(network, "inductor")


class TestSSMAOneModality(NetworkBattery):
    name = "SSMA"
    modalities = ("hha",)


class TestSSMADependentGates(NetworkBattery):
    name = "SSMA"
    options: ClassVar = {"gating": "softmax", "latent_kernel": 3}


class TestSSMAFusedInTheDecoder(NetworkBattery):
    name = "SSMA"
    modalities = ("rgb", "evi")
    options: ClassVar = {"fusion": "decoder"}
    latent_stride = 4


class TestSSMASeparable(NetworkBattery):
    name = "SSMA"
    options: ClassVar = {"separable_decoder": True, "auxiliary_grid": "center"}


class TestSSMAERFNet(NetworkBattery):
    name = "SSMA"
    modalities = ("rgb", "hha")
    options: ClassVar = {"backbone": "erfnet"}
    latent_stride = 8


class TestAverage(NetworkBattery):
    name = "Average"


class TestMaximum(NetworkBattery):
    name = "Maximum"


class TestStacking(NetworkBattery):
    name = "Stacking"


class TestLateFusion(NetworkBattery):
    name = "LateFusion"


class TestLFC(NetworkBattery):
    name = "LFC"


class TestCMoDE(NetworkBattery):
    name = "CMoDE"


class TestFuseNet(NetworkBattery):
    name = "FuseNet"


@pytest.mark.slow
class TestSSMAPaper(NetworkBattery):
    name = "SSMA"
    modalities = ("rgb", "hha")
    options: ClassVar = {"backbone": "preact_resnet50", "variant": "paper"}


@pytest.mark.slow
class TestFuseNetReleasedBackbone(NetworkBattery):
    name = "FuseNet"
    modalities = ("rgb", "hha")
    options: ClassVar = {"backbone": "preact_resnet50"}


@pytest.mark.slow
class TestLFCERFNet(NetworkBattery):
    name = "LFC"
    modalities = ("rgb", "hha")
    options: ClassVar = {"backbone": "erfnet"}
    latent_stride = 8
