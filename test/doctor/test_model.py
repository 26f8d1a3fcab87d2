# SPDX-License-Identifier: Apache-2.0
"""What the doctor says of a network."""

from __future__ import annotations

import pytest
from ros.stub_network import StubBackend

from ssma_ros.doctor import model
from ssma_ros.doctor.model import ModelSeen, examine, observe_model
from ssma_ros.frame import Frame
from ssma_ros.inference.tensorrt.fingerprint import StaleEngineError
from ssma_ros.ros.parameters import FusionParameters

PARAMETERS = FusionParameters()


def test_a_network_that_keeps_up() -> None:
    assert examine(ModelSeen(PARAMETERS, stages_ms={"total": 60.0}, rate_hz=10.0)) == []


def test_a_network_that_is_too_slow() -> None:
    (finding,) = examine(ModelSeen(PARAMETERS, stages_ms={"total": 200.0}, rate_hz=10.0))
    assert finding.severity == "warning"
    assert "200 ms a frame, colour comes at 10.0 Hz: about 50 % of the frames are dropped" in finding.seen
    assert finding.parameters == {}
    (finding,) = examine(ModelSeen(PARAMETERS, stages_ms={"total": 200.0}, rate_hz=10.0, has_int8=True))
    assert finding.parameters == {"precision": "int8"}
    assert examine(ModelSeen(PARAMETERS, stages_ms={"total": 200.0})) == [], "a recording has no hurry"


def test_a_network_that_is_refused() -> None:
    (finding,) = examine(ModelSeen(PARAMETERS, refused="model 'x': no such file"))
    assert (finding.severity, finding.parameters) == ("error", {})


def test_an_engine_of_another_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(**_: object) -> StubBackend:
        raise StaleEngineError("engine x.engine: gpu name is 'Orin', expected 'Xavier'")

    monkeypatch.setattr(model, "load_backend", load)
    (finding,) = examine(observe_model(PARAMETERS))
    assert "gpu name is 'Orin', expected 'Xavier'" in finding.seen
    assert finding.parameters == {"rebuild_engine": True}


def test_a_frame_goes_through_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = StubBackend()
    monkeypatch.setattr(model, "load_backend", lambda **_: backend)
    seen = observe_model(PARAMETERS)
    assert seen.contract is backend.contract
    assert seen.frame_of == "made-up images"
    assert seen.stages_ms["total"] > 0
    assert seen.shares == pytest.approx({name: float(name == "grass") for name in seen.shares})  # grey 127 is class 1
    assert backend.closed


def test_the_frame_of_the_sensors_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    monkeypatch.setattr(model, "load_backend", lambda **_: StubBackend())
    seen = observe_model(PARAMETERS, Frame(color=np.zeros((64, 96, 3), np.uint8)))
    assert seen.frame_of == "the sensors"
    assert dict(seen.missing) == {"hha": "no depth image", "evi": "no nir image"}


