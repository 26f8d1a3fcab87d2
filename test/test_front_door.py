# SPDX-License-Identifier: Apache-2.0
"""What ``import ssma_ros`` offers: its names, their arguments, what it costs, what it says.

``PYTHONPATH=.:test python test/test_front_door.py`` writes ``api.json`` anew. A change of it is a change for everybody
who uses the package.
"""

from __future__ import annotations

import doctest
import inspect
import json
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ros.stub_network import StubBackend, stub_contract

import ssma_ros
from ssma_ros import Frame, Intrinsics, Segmenter, inference
from ssma_ros.errors import SsmaError, expected_one_of
from ssma_ros.segmenter import blank_frame

SURFACE = Path(__file__).with_name("api.json")
PROJECT = Path(__file__).resolve().parents[1]


def arguments(function: Any) -> list[str]:
    """Names with their defaults; annotations are mypy's business."""
    found = []
    for parameter in inspect.signature(function).parameters.values():
        text = str(parameter.replace(annotation=inspect.Parameter.empty))
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and "*" not in found:
            found.append("*")
        found.append(text)
    return found


def surface() -> dict[str, Any]:
    names: dict[str, Any] = {}
    for name in sorted(ssma_ros.__all__):
        thing = getattr(ssma_ros, name)
        if inspect.isclass(thing):
            methods = {k: v for k, v in vars(thing).items() if k == "__call__" or not k.startswith("_")}
            names[name] = {
                "arguments": arguments(thing),
                "methods": {k: arguments(v) for k, v in sorted(methods.items()) if inspect.isfunction(v)},
                "properties": sorted(k for k, v in methods.items() if isinstance(v, property)),
            }
        elif callable(thing):
            names[name] = {"arguments": arguments(thing)}
        else:
            names[name] = type(thing).__name__
    return names


def test_the_surface_is_as_written_down() -> None:
    assert surface() == json.loads(SURFACE.read_text(encoding="utf-8")), "run python test/test_front_door.py if meant"


@pytest.mark.parametrize("name", sorted(set(ssma_ros.__all__) - {"__version__"}))
def test_its_example_runs(name: str) -> None:
    thing = getattr(ssma_ros, name)
    assert "\n    Example:\n" in (thing.__doc__ or "").replace("\nExample:", "\n    Example:")
    found = [test for test in doctest.DocTestFinder(recurse=False).find(thing, name, globs={}) if test.examples]
    assert len(found) == 1
    said: list[str] = []
    assert doctest.DocTestRunner().run(found[0], out=said.append).failed == 0, "".join(said)


def test_what_the_readme_shows_runs() -> None:
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)[0]
    assert len([line for line in shown.splitlines() if line]) <= 6
    frame = blank_frame(768, 384)
    names = {"color": frame.color, "depth": frame.depth, "nir": frame.nir}
    exec(shown, names)
    assert (names["mask"].dtype, names["mask"].shape) == (np.uint8, (384, 768))
    assert names["result"].missing == {}


def test_the_version_is_the_same_everywhere() -> None:
    manifest = (PROJECT / "package.xml").read_text(encoding="utf-8")
    assert f"<version>{ssma_ros.__version__}</version>" in manifest
    assert f"\n{ssma_ros.__version__} (" in (PROJECT / "CHANGELOG.rst").read_text(encoding="utf-8")
    assert f"\nversion: {ssma_ros.__version__}\n" in (PROJECT / "CITATION.cff").read_text(encoding="utf-8")


def test_importing_costs_nothing() -> None:
    """No other package is imported, nor any module of this one but the version."""
    code = (
        "import sys, ssma_ros; assert 'Segmenter' in dir(ssma_ros);"
        "own = {m for m in sys.modules if m.startswith('ssma')};"
        "assert own == {'ssma_ros', 'ssma_ros.version'}, own;"
        "assert not {'numpy', 'cv2', 'numba', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PROJECT)


def test_an_unknown_attribute_is_no_name_of_the_package() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'Segmentor', it offers .*Segmenter"):
        _ = ssma_ros.Segmentor
    assert not hasattr(ssma_ros, "numpy")


@pytest.fixture
def segment(monkeypatch: pytest.MonkeyPatch) -> Segmenter:
    monkeypatch.setattr(inference, "load_backend", lambda *_, **__: StubBackend(stub_contract(64, 32)))
    return ssma_ros.load("stub")


def images(width: int = 64, height: int = 32) -> dict[str, Any]:
    frame = blank_frame(width, height)
    return {"color": frame.color, "depth": frame.depth, "nir": frame.nir, "intrinsics": frame.intrinsics}


def test_arrays_give_the_same_mask_as_their_frame(segment: Segmenter) -> None:
    outputs = ("mask", "confidence", "depth", "inputs")
    named = segment(**images(), outputs=outputs)
    framed = segment(Frame(stamp_ns=7, frame_id="camera", **images()), outputs)
    assert (named.mask.dtype, named.mask.shape) == (np.uint8, (32, 64))
    assert (named.stamp_ns, named.frame_id, framed.stamp_ns, framed.frame_id) == (0, "", 7, "camera")
    np.testing.assert_array_equal(named.mask, framed.mask)
    assert all(named.present.values())
    for name, picture in framed.inputs.items():
        np.testing.assert_array_equal(named.inputs[name], picture)


def test_a_sensor_left_out_is_said(segment: Segmenter) -> None:
    given = images()
    del given["nir"]
    result = segment(**given)
    assert [name for name, there in result.present.items() if not there] == list(result.missing) == ["evi"]


def test_what_is_no_field_is_refused(segment: Segmenter) -> None:
    with pytest.raises(TypeError, match="'colour'"):
        segment(colour=images()["color"])
    with pytest.raises(TypeError, match="got a ndarray as the frame, expected a Frame, or images by name"):
        segment(images()["color"])
    with pytest.raises(TypeError, match="got a frame and nir, expected one or the other"):
        segment(Frame(**images()), nir=images()["nir"])
    with pytest.raises(ValueError, match=r"outputs: got 'gate', expected one of mask.*\('gates' may be meant\)"):
        segment(**images(), outputs=("mask", "gate"))


BLACK = np.zeros((32, 64, 3), np.uint8)
GREY = np.zeros((32, 64), np.uint8)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"color": BLACK / 255}, r"color is float64 \(32, 64, 3\), expected uint8 .* in the order blue, green, red"),
        ({"color": np.zeros((32, 64, 4), np.uint8)}, r"color is uint8 \(32, 64, 4\), expected uint8 \(32, 64, 3\)"),
        ({"color": GREY}, r"color is uint8 \(32, 64\), expected uint8 \(32, 64, 3\)"),
        ({"color": BLACK.tolist()}, "color is a list, expected a NumPy array of uint8 H×W"),
        ({"color": np.zeros((0, 64, 3), np.uint8)}, r"color is uint8 \(0, 64, 3\), expected a NumPy array"),
        ({"depth": GREY.astype(np.uint16)}, r"depth is uint16 .*, expected float32 .* in m .* is usually 0.001 m"),
        ({"depth": GREY / 1000}, r"depth is float64 \(32, 64\), expected float32 \(32, 64\) in m"),
        ({"depth": np.zeros((30, 64), np.float32)}, "depth is 64x30, expected 64x32 as color is"),
        ({"nir": GREY[..., None]}, r"nir is uint8 \(32, 64, 1\), expected uint8 or uint16 \(32, 64\)"),
        ({"nir": GREY.astype(np.uint16)}, r"nir is uint16 without nir_full_scale, expected .* \(65535, or less for"),
        ({"nir_full_scale": 4095}, "nir_full_scale is 4095, expected above 0 to 255 of uint8"),
        ({"intrinsics": np.eye(3)}, r"intrinsics are a ndarray, expected Intrinsics\(fx, fy"),
        ({"intrinsics": Intrinsics(50, 50, 320, 240, 640, 480)}, "intrinsics are of 640x480, expected 64x32 as the im"),
    ],
)
def test_an_array_that_is_not_as_stated_is_refused_before_anything_is_made(
    segment: Segmenter, wrong: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=f"^frame: {words}"):
        segment(**{**images(), **wrong})
    assert segment.backend.calls == 0
    assert segment(**images()).present


def test_a_field_that_a_frame_does_not_have_cannot_be_set() -> None:
    frame = Frame()
    with pytest.raises(AttributeError, match=r"got 'colour', expected one of color.*\('color' may be meant\)"):
        frame.colour = BLACK
    with pytest.raises(TypeError, match=r"got 'nir_fullscale', .*\('nir_full_scale' may be meant\)"):
        Frame(nir_fullscale=4095)
    with pytest.raises(TypeError, match=r"got 'colour', .*\('color' may be meant\)"):
        Frame(images={"colour": BLACK})


def test_what_is_no_reading_makes_a_hole(segment: Segmenter) -> None:
    """A depth camera's array as it comes: NaN, ±inf and negative values are what 0 is."""
    outputs = ("mask", "inputs", "depth")
    holes, marks = images(), images()
    holes["depth"][8:20, 10:40] = 0.0
    marks["depth"][8:20, 10:40] = np.tile(np.float32([np.nan, np.inf, -np.inf, -1.0, 0.0]), (12, 6))
    clean, raw = segment(**holes, outputs=outputs), segment(**marks, outputs=outputs)
    np.testing.assert_array_equal(raw.depth, clean.depth)
    np.testing.assert_array_equal(raw.inputs["hha"], clean.inputs["hha"])


@pytest.mark.parametrize("size", [(64, 32), (100, 50)], ids=["as the network's", "resized"])
def test_views_are_as_good_as_copies(segment: Segmenter, size: tuple[int, int]) -> None:
    """An RGB picture is turned into BGR by a view with a negative stride; another camera's picture is a crop."""
    given = images(*size)
    noise = np.random.default_rng(5).integers(0, 255, (size[1], size[0], 3), np.uint8)
    wide = {name: np.repeat(given[name], 2, axis=1)[:, ::2] for name in ("depth", "nir")}
    wide["nir"].setflags(write=False)
    outputs = ("mask", "inputs", "depth")
    copied = segment(**{**given, "color": noise[..., ::-1].copy()}, outputs=outputs)
    viewed = segment(**{**given, **wide, "color": noise[..., ::-1]}, outputs=outputs)
    np.testing.assert_array_equal(viewed.depth, copied.depth)
    for name, picture in copied.inputs.items():
        np.testing.assert_array_equal(viewed.inputs[name], picture)


def test_the_block_releases_the_network_and_no_frame_is_taken_afterwards(segment: Segmenter) -> None:
    with segment as entered:
        assert entered is segment
        segment(**images())
    assert segment.backend.closed
    with pytest.raises(ValueError, match="segmenter: it is closed"):
        segment(**images())


def test_two_threads_do_not_share_a_frame(segment: Segmenter) -> None:
    """Both would write into the same work memory."""
    given, inside, finish = images(), threading.Event(), threading.Event()
    infer = segment.backend.infer

    def slow(*arguments: Any) -> Any:
        inside.set()
        assert finish.wait(60)
        return infer(*arguments)

    segment.backend.infer = slow
    with ThreadPoolExecutor(1) as other:
        first = other.submit(segment, **given)
        assert inside.wait(60)
        with pytest.raises(RuntimeError, match="at work in another thread, expected one frame at a time"):
            segment(**given)
        finish.set()
        mask = first.result().mask
    segment.backend.infer = infer
    np.testing.assert_array_equal(segment(**given).mask, mask)


def test_options_reach_the_segmenter_and_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def load_backend(model: str, **options: Any) -> StubBackend:
        asked.append((model, options))
        return StubBackend(stub_contract(64, 32))

    monkeypatch.setattr(inference, "load_backend", load_backend)
    with ssma_ros.load(
        "m", backend="torch", precision="fp16", threads=3, cache_dir="c", rebuild_engine=True,
        output_resolution="camera", min_confidence=0.5,
    ) as segment:
        assert segment(**images(100, 80)).mask.shape == (80, 100)
        assert segment.options.min_confidence == 0.5
    assert asked == [
        ("m", {"backend": "torch", "precision": "fp16", "threads": 3, "cache_dir": "c", "rebuild_engine": True})
    ]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"model": "forest_rgb_hha_ev"}, SsmaError, r"model 'forest_rgb_hha_ev': .*\('forest_rgb_.* may be meant\)"),
        ({"backend": "openvinno"}, SsmaError, r"backend: got 'openvinno', .*\('openvino' may be meant\)"),
        ({"preprocessing": "cuda"}, SsmaError, "preprocessing: got 'cuda', expected one of auto, cpu, gpu"),
        ({"output_resolution": "half"}, ValueError, "output_resolution is 'half', expected one of network, camera"),
        ({"min_confidence": 50}, ValueError, "min_confidence is 50, expected 0 to 1"),
    ],
)
def test_what_cannot_be_loaded_is_one_sentence(options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        ssma_ros.load(**{"model": "forest_rgb_hha_evi", **options})


def test_a_network_that_cannot_be_fed_is_released(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = StubBackend(stub_contract(64, 32))
    monkeypatch.setattr(inference, "load_backend", lambda *_, **__: backend)
    with pytest.raises(SsmaError, match="'gpu' is asked for"):
        ssma_ros.load("stub", preprocessing="gpu")
    assert backend.closed


def test_a_refused_name_tells_what_was_meant_only_if_it_is_near() -> None:
    assert expected_one_of("deph", ["color", "depth"]) == "expected one of color, depth ('depth' may be meant)"
    assert expected_one_of("smell", ["color", "depth"]) == "expected one of color, depth"


if __name__ == "__main__":
    SURFACE.write_text(json.dumps(surface(), indent=1) + "\n", encoding="utf-8")
