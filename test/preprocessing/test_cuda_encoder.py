# SPDX-License-Identifier: Apache-2.0
"""The GPU's encoder against the processor's, on real images: the CUDA sources run on the host, or on a GPU if any."""

from __future__ import annotations

from itertools import product

import cv2
import numpy as np
import pytest

from preprocessing import cuda_host
from ssma_ros.contract import Contract, Stream
from ssma_ros.encodings.base import EncoderOptions
from ssma_ros.encodings.table import ENCODINGS
from ssma_ros.errors import SsmaError
from ssma_ros.frame import Frame, Intrinsics
from ssma_ros.inputs.processor import InputEncoder
from ssma_ros.inputs.resident import CudaInputEncoder
from ssma_ros.kernels.cuda.agreement import TOLERANCES, difference, few_readings
from ssma_ros.kernels.shared.measure import made_depth
from ssma_ros.labels import load_label_set
from ssma_ros.segmenter import blank_frame

LABELS = load_label_set("synthetic_forest")
SIZE = (192, 96)
SECOND = 1_000_000_000


@pytest.fixture(params=["host", pytest.param("gpu", marks=pytest.mark.gpu)])
def device(request):
    if request.param == "host":
        yield cuda_host.host_device()
    else:
        yield from cuda_host.gpu_device()

#: Encodings that are made on a GPU, of the sensors that the real images here have.
ON_GPU = tuple(name for name, e in ENCODINGS.items() if e.twin is not None and "thermal" not in e.sensors)


def contract(encodings=ON_GPU, size=SIZE, **parameters) -> Contract:
    """A stream of each encoding, named as it; ``parameters`` go to those that read depth."""
    of_depth = {k: v for k, v in parameters.items() if k in ("completion", "blur", "extrapolate", "max_depth")}
    chosen = {"hha": parameters, "depth_jet": of_depth, "depth_gray": of_depth}
    return Contract(*size, tuple(Stream(name, name, parameters=chosen.get(name, {})) for name in encodings), LABELS)


class Pair:
    """Both encoders for one contract, fed alike."""

    def __init__(self, device, wanted: Contract, options: EncoderOptions | None = None) -> None:
        self.device = device
        self.bytes = 3 * wanted.width * wanted.height
        self.addresses = {name: device.allocate(self.bytes) for name in wanted.modalities}
        self.gpu = CudaInputEncoder(wanted, device, self.addresses, options)
        self.cpu = InputEncoder(wanted, options)
        self.doubts: list[str] = []

    def check(self, frame: Frame, exact: float = 0.995) -> dict[str, np.ndarray]:
        """Encode with both and compare everything; the GPU's inputs.

        ``exact``: least share of equal HHA pixels; of all other inputs one pixel of a thousand may differ by a level.
        """
        expected = self.cpu.encode(frame)
        got = self.gpu.encode(frame)
        assert got.inputs == {}, "nothing is fetched that nobody asked for"
        assert got.depth is None
        self.gpu.collect(got, inputs=True, depth=True)
        assert (got.present, got.missing, got.intrinsics) == (expected.present, expected.missing, expected.intrinsics)
        assert set(got.inputs) == set(expected.inputs)
        assert set(got.timings_ms) == {"enqueue", "preprocessing_gpu"}
        assert got.doubts == expected.doubts
        self.doubts.append(got.doubts.get("hha", ""))
        if expected.depth is None:
            assert got.depth is None
        else:
            np.testing.assert_array_equal(got.depth > 0, expected.depth > 0)
            assert difference("fill", got.depth, expected.depth).within
        for name, image in expected.inputs.items():
            compared = ~few_readings(expected.depth > 0) if name == "hha" else None
            found = difference(name if name in TOLERANCES else "resize", got.inputs[name], image, compared)
            assert found.largest <= found.tolerance.largest, (name, found)
            assert found.equal >= (exact if name == "hha" else 0.999), (name, found)
        for name, there in got.present.items():
            if not there:
                assert not self.device.get(self.addresses[name], (self.bytes,), np.uint8).any(), "not blank"
        return got.inputs


def frame_of(color: np.ndarray, depth: np.ndarray, focal: float, stamp_ns: int = SECOND) -> Frame:
    """A frame with a near infrared made from green and red, where plants would be bright."""
    height, width = depth.shape
    color = cv2.resize(color, (width, height), interpolation=cv2.INTER_AREA)
    nir = cv2.addWeighted(color[..., 1], 1.1, cv2.GaussianBlur(color[..., 2], (5, 5), 0), 0.2, 0.0)
    k = Intrinsics(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height)
    return Frame(stamp_ns, "camera", color=color, depth=depth.astype(np.float32), nir=nir, intrinsics=k)


def read(path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert image is not None, path
    return image


def real_frames(shared_data) -> dict[str, Frame]:
    """Frames of five cameras, holes as the sensors left them."""
    sun = shared_data / "sunrgbd_toy" / "images" / "2014-12-18_11-31-54_260595134347"
    packed = read(sun / "depth" / "0000144.png")
    esanet, emsanet = (shared_data / "rgbd_esanet_emsanet" / name for name in ("ESANet", "EMSANet"))
    far = read(esanet / "sample_depth.png")
    images = {
        "nyu": (shared_data / "gupta_rcnn_depth_demo" / "images.png",
                read(shared_data / "gupta_rcnn_depth_demo" / "rawdepth.png") / 1000.0, 519.0),
        "sunrgbd": (sun / "image" / "0000144.jpg", ((packed >> 3) | (packed << 13)) / 1000.0, 529.5),
        "kinect2": (esanet / "sample_rgb.png", np.where(far == 65535, 0, far) / 1000.0, 365.0),
        "azure": (emsanet / "sample_rgb.png", read(emsanet / "sample_depth.png") / 1000.0, 830.0),
        "realsense": (shared_data / "rgbd_mm_chenjiahao" / "rgb.png",
                      read(shared_data / "rgbd_mm_chenjiahao" / "depth.png") / 1000.0, 600.0),
    }
    return {name: frame_of(read(rgb), depth, focal) for name, (rgb, depth, focal) in images.items()}


@pytest.fixture(scope="module")
def nyu(shared_data) -> Frame:
    return real_frames(shared_data)["nyu"]


def test_real_images(shared_data, device):
    pair = Pair(device, contract())
    for name, frame in real_frames(shared_data).items():
        inputs = pair.check(frame)
        assert len(inputs) == len(ON_GPU), name
        pair.gpu.reset()


def test_real_near_infrared(shared_data, device):
    folder = shared_data / "rgb_nir_landscape"
    color = read(folder / "rgb_landscape_aligned.png")[..., :3]
    nir = read(folder / "nir_landscape_aligned.png")
    nir = np.ascontiguousarray(nir if nir.ndim == 2 else nir[..., 1])
    frame = Frame(0, "camera", color=np.ascontiguousarray(color), nir=nir)
    pair = Pair(device, contract())
    assert set(pair.check(frame)) == {"bgr", "rgb", "nir", "ndvi", "evi", "evi2", "nrg"}
    frame.nir, frame.nir_full_scale = nir.astype(np.uint16) * 16, 4095.0
    assert len(pair.check(frame)) == 7


@pytest.mark.parametrize(
    "parameters",
    [
        {"completion": "fast", "blur": "gaussian", "extrapolate": True, "max_depth": 20.0},
        {"completion": "fast", "extrapolate": True},
        {"completion": "multiscale"},
        {"completion": "multiscale", "blur": "gaussian", "extrapolate": True},
        {"completion": "none"},
        {"floor_percentile": 1.0, "height_range": 5.1},
        {"floor_percentile": 0.0},
        {"floor_percentile": 100.0},
        {"max_tilt": 45.0, "min_support": 200},
        {"max_tilt": 0.0},
        {"min_support": 10**6, "height_range": 1.0},
    ],
    ids=str,
)
def test_every_parameter_of_the_contract(device, nyu, parameters):
    Pair(device, contract(("hha", "depth_jet", "depth_gray"), **parameters)).check(nyu)


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        (EncoderOptions(camera_height=1.2), {"floor_percentile": 1.0}),
        (EncoderOptions(gravity_guard=True), {}),
        (EncoderOptions(gravity_guard=True, gravity_smoothing=0.5), {"floor_percentile": 1.0}),
    ],
    ids=str,
)
@pytest.mark.parametrize("given", [None, (0.05, 2.0, 0.3), (0.0, 0.0, 1.0)])
def test_every_option_of_the_robot(device, nyu, options, parameters, given):
    frame = Frame(**{**vars(nyu), "gravity": None if given is None else np.array(given)})
    Pair(device, contract(("hha",), **parameters), options).check(frame)


@pytest.mark.parametrize("kept", [kept for kept in product((True, False), repeat=4) if any(kept[:3])], ids=str)
def test_every_missing_sensor(device, nyu, kept):
    frame = Frame(**vars(nyu))
    for name, there in zip(("color", "depth", "nir", "intrinsics"), kept, strict=True):
        if not there:
            setattr(frame, name, None)
            frame.missing = {**frame.missing, {"intrinsics": "camera_info"}.get(name, name): f"{name} silent for 3.0 s"}
    Pair(device, contract(("bgr", "hha", "depth_jet", "evi2", "nir"))).check(frame)


def test_sensors_that_come_and_go_leave_nothing_behind(device, nyu):
    """Each combination has its own graph; none sees what another left in the buffers."""
    pair = Pair(device, contract(("rgb", "hha", "evi")))
    alone = [Frame(**{**vars(nyu), **gone}) for gone in ({"depth": None}, {"nir": None}, {"color": None})]
    for frame in (nyu, *alone, nyu, *alone):
        pair.check(frame)
    if isinstance(device, cuda_host.HostDevice):
        assert len(device.graphs) == 4, "a layout seen before must not be captured again"


def test_a_camera_that_changes_its_size(device, nyu):
    """Larger, smaller, and the network's own: old graphs must not read freed memory."""
    pair = Pair(device, contract(("bgr", "hha", "evi2")))
    for width, height in ((200, 150), (560, 425), (192, 96), (100, 60), (560, 425)):
        size = (width, height)
        depth = cv2.resize(nyu.depth, size, interpolation=cv2.INTER_NEAREST)
        color, nir, k = cv2.resize(nyu.color, size), cv2.resize(nyu.nir, size), nyu.intrinsics.resized(*size)
        frame = Frame(0, "camera", color=color, depth=depth, nir=nir, intrinsics=k)
        pair.check(frame)
        pair.gpu.reset()
        pair.cpu.reset()


def test_a_size_that_finds_no_memory_leaves_nothing_of_the_last_one_in_use(device, nyu, monkeypatch):
    """The frame is lost; the next one finds its memory and is encoded right."""
    pair = Pair(device, contract(("bgr", "depth_jet")))

    def scaled(width: int, height: int) -> Frame:
        size = (width, height)
        depth = cv2.resize(nyu.depth, size, interpolation=cv2.INTER_NEAREST)
        k = nyu.intrinsics.resized(*size)
        return Frame(0, "camera", color=cv2.resize(nyu.color, size), depth=depth, intrinsics=k)

    pair.check(scaled(200, 150))

    def full(_size: int) -> int:
        raise SsmaError("GPU: 0.0 MB for preprocessing cannot be had (out of memory)")

    with monkeypatch.context() as patch:
        patch.setattr(device, "allocate", full)
        with pytest.raises(SsmaError, match="cannot be had"):
            pair.gpu.encode(scaled(300, 220))
    pair.check(scaled(300, 220))
    pair.check(scaled(200, 150))


def test_images_in_any_memory_layout(device, nyu):
    frame = Frame(**vars(nyu))
    frame.color, frame.depth, frame.nir = frame.color[:, ::-1], frame.depth[:, ::-1], frame.nir[:, ::-1]
    Pair(device, contract(("bgr", "depth_jet", "evi2"))).check(frame)


def test_streams_of_one_encoding_share_the_image(device, nyu):
    streams = (Stream("one", "bgr"), Stream("two", "bgr"), Stream("three", "rgb"))
    Pair(device, Contract(*SIZE, streams, LABELS)).check(nyu)


def test_two_heights_of_one_depth(device, nyu):
    """Two HHA streams with their own limits keep their own gravity."""
    streams = (Stream("strict", "hha", parameters={"max_tilt": 0.0}), Stream("free", "hha"))
    pair = Pair(device, Contract(*SIZE, streams, LABELS))
    images = pair.check(nyu)
    assert not np.array_equal(images["strict"], images["free"])


def tilted(degrees: float, stamp_ns: int, size=(240, 120)) -> Frame:
    """Ground and walls seen by a camera that is pitched down by ``degrees``."""
    depth, k = made_depth("dense", *size)
    rows = (np.arange(size[1])[:, None] - k.cy) / k.fy
    pitch = np.radians(degrees)
    ground = 1.4 / np.maximum(np.sin(pitch) + rows * np.cos(pitch), 1e-3)
    walls = np.where(np.abs(np.arange(size[0]) - size[0] / 2) > size[0] / 3, 4.0, 12.0)[None, :]
    depth = np.minimum(ground, walls / np.maximum(np.cos(pitch) - rows * np.sin(pitch), 0.2)).astype(np.float32)
    return Frame(stamp_ns, "camera", depth=depth, intrinsics=k)


def test_gravity_over_time(device):
    """Smoothing, the guard's memory, given gravity in between, stamps that jump, and a reset: frame after frame."""
    options = EncoderOptions(gravity_guard=True, gravity_smoothing=0.4)
    pair = Pair(device, contract(("hha",), floor_percentile=1.0), options)
    sky = Frame(0, "camera", depth=np.full((120, 240), 3.0, np.float32), intrinsics=tilted(0, 0).intrinsics)
    wall = [Frame(**{**vars(sky), "stamp_ns": ns}) for ns in (SECOND // 2, 9 * SECOND)]
    known = tilted(3.0, SECOND)
    known.gravity = np.array([0.1, 0.9, 0.2])
    story = [
        tilted(2.0, 0), tilted(12.0, SECOND // 10), tilted(20.0, SECOND // 5),  # smoothed
        wall[0],  # nothing to estimate from: the last direction holds
        tilted(20.0, 6 * SECOND // 10), known, tilted(15.0, 11 * SECOND // 10),  # from the given one on
        tilted(5.0, 4 * SECOND),  # a gap: starts anew
        tilted(25.0, 2 * SECOND),  # back in time
        wall[1],  # a gap and no estimate: level
        tilted(25.0, 9 * SECOND + SECOND // 10),  # and from level on
    ]
    seen = [pair.check(frame)["hha"] for frame in story]
    doubted = {index: doubt for index, doubt in enumerate(pair.doubts) if doubt}
    assert list(doubted) == [3, 9]
    assert "the last good estimate holds" in doubted[3]
    assert "the camera counts as level" in doubted[9]
    alone = Pair(device, contract(("hha",), floor_percentile=1.0)).check(story[1])["hha"]
    assert np.abs(seen[1].astype(int) - alone).max() > 2, "the second frame should carry the first one's gravity"
    for encoder in (pair.gpu, pair.cpu):
        encoder.reset()
    again = pair.check(Frame(**{**vars(story[1]), "stamp_ns": 9 * SECOND + SECOND // 5}))
    assert not np.array_equal(again["hha"], seen[1])


def test_one_graph_serves_frames_whose_gravity_differs(device):
    pair = Pair(device, contract(("hha",)))
    frames = [tilted(4.0, i * SECOND // 10) for i in range(3)]
    for frame, down in zip(frames, ((0, 1, 0), (0.3, 0.9, 0.1), (0, 0.8, 0.6)), strict=True):
        frame.gravity = np.array(down, float)
        pair.check(frame)
    if isinstance(device, cuda_host.HostDevice):
        assert len(device.graphs) == 1


def test_rarely_used_graphs_are_freed(device):
    if not isinstance(device, cuda_host.HostDevice):
        pytest.skip("looks into the host device's books")
    pair = Pair(device, contract(("nir",), size=(64, 32)))
    frame = blank_frame(64, 32)
    for scale in range(100, 112):
        frame.nir_full_scale = float(scale)
        pair.gpu.encode(frame)
    assert sum(not graph.closed for graph in device.graphs) == 8
    pair.gpu.close()
    pair.gpu.close()
    assert all(graph.closed for graph in device.graphs)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"color": np.zeros((425, 560), np.uint8)}, r"color is uint8 \(425, 560\), expected uint8 \(425, 560, 3\)"),
        ({"color": np.zeros((425, 560, 4), np.uint8)}, r"color is uint8 .*, expected uint8 \(425, 560, 3\)"),
        ({"depth": np.zeros((425, 560), np.uint16)}, r"depth is uint16 \(425, 560\), expected float32 \(425, 560\)"),
        ({"nir": np.zeros((425, 560), np.float32)}, r"nir is float32 .*, expected uint8 or uint16 \(425, 560\)"),
        ({"nir": np.zeros((2, 2), np.uint8)}, "frame: nir is 2x2, expected 560x425 as color is"),
        ({"gravity": np.zeros(3)}, r"gravity: got \[0\.0, 0\.0, 0\.0\], expected"),
    ],
)
def test_frames_that_are_not_what_they_state_are_refused(device, nyu, wrong, message):
    pair = Pair(device, contract(("bgr", "hha", "evi2")))
    with pytest.raises(ValueError, match=message):
        pair.gpu.encode(Frame(**{**vars(nyu), **wrong}))
    pair.check(nyu)


def test_parameters_are_checked_as_on_the_processor(device):
    with pytest.raises(SsmaError, match="parameter 'completoin'"):
        Pair(device, contract(("hha",), completoin="fast"))
