# SPDX-License-Identifier: Apache-2.0
"""What the steps compare, on a device in the host's memory: they pass where the kernels are right and only there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from preprocessing import cuda_host

from ssma_ros.contract import load_contract
from ssma_ros.inference.loading import locate_model
from ssma_ros.selftest import encoder, kernels
from ssma_ros.selftest.findings import Findings, Settings
from ssma_ros.selftest.frames import made_frame

SETTINGS = Settings(64, 32, "models", 0.1, 1)


@pytest.fixture
def findings():
    told = []
    found = Findings(told.append)
    found.told = told
    return found


def test_every_kernel_is_compared_and_timed(findings):
    device = cuda_host.host_device()
    kernels.compare_all(device, SETTINGS, findings)
    assert [check for check in findings.checks if not check["passed"]] == []
    names = [check["name"] for check in findings.checks]
    assert names == [figure.name for figure in findings.figures]
    for part in ("fill_fast", "fill_multi", "encode_hha", "jet", "thermal", "evi2", "pack", "resize dep", "register"):
        assert any(part in name for name in names), part
    assert findings.told[-1] == findings.document(), "told as it was found"
    launched = {kernel for _, kernel in device.launches}
    untouched = {name for of in cuda_host.SIGNATURES.values() for name in of} - launched
    # What only estimates of gravity and robot modes use; the encoder's step runs the former.
    assert untouched <= {"scatter", "refine_gravity", "take_gravity", "settle_gravity", "set_floor", "clear",
                         "count_heights", "find_percentile", "keep_readings", "blank"}


@pytest.mark.parametrize("kernel", ["bilateral", "encode", "vegetation", "resize_linear_16", "pack"])
def test_a_kernel_that_computes_nothing_is_noticed(findings, monkeypatch, kernel):
    device = cuda_host.host_device()
    launch = device.launch
    monkeypatch.setattr(device, "launch", lambda source, name, *rest: name == kernel or launch(source, name, *rest))
    kernels.compare_all(device, SETTINGS, findings)
    assert [check for check in findings.checks if not check["passed"]]


def test_the_encoder_is_compared_with_sensors_missing(findings):
    contract = load_contract(locate_model("forest_rgb_hha_evi") / "contract.json")
    device = cuda_host.host_device()
    encoder.compare(device, replace(contract, width=64, height=32), [made_frame(0, (100, 60))], findings, rounds=2)
    assert [check for check in findings.checks if not check["passed"]] == []
    names = {check["name"] for check in findings.checks}
    assert {"frame 0 complete: hha", "frame 0 without depth: rgb", "frame 0 complete again: depth"} <= names
    assert "frame 0 without depth: hha" not in names
    assert len(device.graphs) == 3, "one graph for each set of sensors"
    assert [figure.name for figure in findings.figures] == ["encoder, enqueue", "encoder, preprocessing_gpu"]
