# SPDX-License-Identifier: Apache-2.0
"""Every backend that runs without a GPU gives what float32 PyTorch gives, within its precision."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from inference.toy_network import example_frames, toy_contract, toy_network

from ssma_ros.inference import OUTPUTS, load_backend
from ssma_ros.models.segmentation_graph import SegmentationGraph

#: backend, precision, file → least share of equal mask pixels, largest difference of a probability (levels of 255).
CASES = {
    ("onnxruntime", "auto", "model.onnx"): (1.0, 1),
    ("openvino", "fp32", "model.onnx"): (1.0, 1),
    ("openvino", "auto", "model.onnx"): (0.99, 4),
    ("onnxruntime", "auto", "model.fp16.onnx"): (0.999, 1),
    ("onnxruntime", "auto", "model.int8.onnx"): (0.99, 4),
    ("openvino", "int8", "model.int8.onnx"): (0.99, 4),
    ("onnxruntime", "auto", "model.int8-fp16.onnx"): (0.99, 4),
}


def reference(frame):
    graph = SegmentationGraph(toy_network(), toy_contract()).eval()
    with torch.inference_mode():
        tensors = graph(*(torch.from_numpy(array) for array in frame.values()))
    return dict(zip(OUTPUTS, (t.numpy() for t in tensors), strict=True))


@pytest.mark.parametrize("flags", [(1, 1), (1, 0), (0, 1)])
@pytest.mark.parametrize("case", CASES)
def test_parity_with_pytorch(toy_folder, case, flags):
    name, precision, file = case
    agreement, levels = CASES[case]
    backend = load_backend(toy_folder / file, backend=name, precision=precision, threads=1)
    present = dict(zip(backend.contract.modalities, map(bool, flags), strict=True))
    equal, total = 0, 0
    for frame in example_frames(4, seed=5):
        # A blank stream's image is zeros for every backend; the network must not look at it anyway.
        frame["present"] = np.array(flags, np.float32)
        expected = reference({k: v if k == "present" or present[k] else np.zeros_like(v) for k, v in frame.items()})
        inputs = {k: v for k, v in frame.items() if present.get(k)}
        got = backend.infer(inputs, present, OUTPUTS)
        equal += int((got.mask == expected["mask"]).sum())
        total += got.mask.size
        difference = np.abs(got.probabilities.astype(int) - expected["probabilities"])
        assert difference.max() <= levels
        assert np.abs(got.gates - expected["gates"]).max() <= 0.02
    backend.close()
    assert equal / total >= agreement


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_only_wanted_outputs_come_and_they_are_the_same(toy_folder, name):
    backend = load_backend(toy_folder, backend=name, threads=1)
    backend.warm_up()
    frame = example_frames(1)[0]
    del frame["present"]
    present = dict.fromkeys(frame, True)
    assert backend.memory_bytes is None, "it runs on the processor"
    few, all_of_them = backend.infer(frame, present), backend.infer(frame, present, OUTPUTS)
    assert few.probabilities is None
    assert few.gates is None
    # OpenVINO compiles two graphs and fuses them differently: in bf16 a rounding can fall the other way.
    levels = 1 if name == "openvino" else 0
    assert np.abs(few.confidence.astype(int) - all_of_them.confidence).max() <= levels
    assert (few.mask != all_of_them.mask).mean() <= 0.002 * levels
    assert "inference" in few.timings_ms


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_results_belong_to_the_caller(toy_folder, name):
    backend = load_backend(toy_folder, backend=name, threads=1)
    first, second = ({k: v for k, v in f.items() if k != "present"} for f in example_frames(2))
    present = dict.fromkeys(first, True)
    result = backend.infer(first, present, OUTPUTS)
    kept = {k: getattr(result, k).copy() for k in OUTPUTS}
    assert result.mask.flags.writeable
    backend.infer(second, present, OUTPUTS)
    backend.close()
    backend.close()
    assert all(np.array_equal(getattr(result, k), kept[k]) for k in OUTPUTS)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda i, p: i.pop("hha"), r"stream 'hha': got no image though it is present"),
        (lambda i, p: i.update(hha=i["hha"][:16]), r"'hha': got uint8 \(16, 64, 3\), expected uint8 \(32, 64, 3\)"),
        (lambda i, p: i.update(hha=i["hha"].astype(np.float32)), r"stream 'hha': got float32"),
        (lambda i, p: p.pop("color"), r"no entry for stream 'color'"),
        (lambda i, p: p.update(color=False, hha=False), r"no stream that is present"),
    ],
)
def test_bad_input_names_stream_got_and_expected(toy_folder, change, words):
    backend = load_backend(toy_folder, backend="onnxruntime", threads=1)
    frame = {k: v for k, v in example_frames(1)[0].items() if k != "present"}
    present = dict.fromkeys(frame, True)
    change(frame, present)
    with pytest.raises(ValueError, match=words):
        backend.infer(frame, present)


def test_unknown_output_is_refused(toy_folder):
    backend = load_backend(toy_folder, backend="onnxruntime", threads=1)
    frame = {k: v for k, v in example_frames(1)[0].items() if k != "present"}
    with pytest.raises(ValueError, match=r"\['logits'\], expected some of mask"):
        backend.infer(frame, dict.fromkeys(frame, True), ["logits"])


def test_strided_images_are_taken(toy_folder):
    backend = load_backend(toy_folder, backend="openvino", threads=1)
    frame = {k: v for k, v in example_frames(1)[0].items() if k != "present"}
    present = dict.fromkeys(frame, True)
    plain = backend.infer(frame, present)
    mirrored = {k: np.ascontiguousarray(v[:, ::-1])[:, ::-1] for k, v in frame.items()}
    assert not mirrored["color"].flags.c_contiguous
    assert np.array_equal(backend.infer(mirrored, present).mask, plain.mask)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_inference_needs_neither_torch_nor_onnx(toy_folder, name):
    program = (
        "import sys\n"
        "for m in ('torch', 'onnx', 'onnx_ir', 'onnxscript'): sys.modules[m] = None\n"
        "from ssma_ros.inference import load_backend\n"
        f"b = load_backend({str(toy_folder)!r}, backend={name!r}, threads=1)\n"
        "b.warm_up()\n"
        "print(b.identity['backend'])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == name


def test_compiled_graphs_are_cached(toy_folder, tmp_path):
    load_backend(toy_folder, backend="openvino", threads=1, cache_dir=tmp_path).close()
    assert any(tmp_path.rglob("*.blob"))
    load_backend(toy_folder, backend="openvino", threads=1, cache_dir=tmp_path).warm_up()


#: Frames through OpenVINO in a process of its own, because oneDNN reads its limit once.
_RUN_OPENVINO = """
import sys
import numpy as np
from inference.toy_network import example_frames
from ssma_ros.inference import OUTPUTS, load_backend
backend = load_backend(sys.argv[1], backend="openvino", precision="fp32", threads=1)
results = []
for frame in example_frames(4, seed=5):
    present = dict(zip(backend.contract.modalities, map(bool, frame.pop("present")), strict=True))
    results.append(backend.infer(frame, present, OUTPUTS))
np.savez(sys.argv[2], probabilities=[r.probabilities for r in results], gates=[r.gates for r in results])
"""


def test_int8_is_the_same_without_vnni(toy_folder, tmp_path):
    """With AVX2 alone OpenVINO adds products in 16 bits, where weights without headroom saturate."""
    found = []
    for isa in ("AVX2", "ALL"):
        output = tmp_path / f"{isa}.npz"
        environment = {
            **os.environ, "ONEDNN_MAX_CPU_ISA": isa, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }  # fmt: skip
        command = [sys.executable, "-c", _RUN_OPENVINO, str(toy_folder / "model.int8.onnx"), str(output)]
        subprocess.run(command, check=True, env=environment)
        found.append(np.load(output))
    avx2, native = found
    assert np.abs(avx2["probabilities"].astype(int) - native["probabilities"]).max() <= 1
    assert np.abs(avx2["gates"] - native["gates"]).max() <= 0.002
    frames = example_frames(4, seed=5)
    for index, frame in enumerate(frames):
        expected = reference(frame)
        assert np.abs(avx2["probabilities"][index].astype(int) - expected["probabilities"]).max() <= 4
        assert np.abs(avx2["gates"][index] - expected["gates"]).max() <= 0.02
