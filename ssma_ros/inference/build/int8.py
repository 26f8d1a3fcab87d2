# SPDX-License-Identifier: Apache-2.0
"""Post-training quantisation to int8 by explicit, symmetric Q/DQ pairs in the ONNX graph.

Weights are stored as int8 with one scale per output channel; activations get one scale per tensor, zero point 0
throughout – the scheme TensorRT requires and OpenVINO understands, so that one file serves both. Scales come from
real frames: for each tensor the clipping point with the least mean squared rounding and clipping error over a
histogram of its magnitudes. Convolutions that would gain nothing stay float (see ``_is_quantisable``).

Processors without VNNI (AVX2) add two products of an unsigned and a signed byte in 16 bits, which saturate silently
(Intel, Intrinsics Guide, ``_mm256_maddubs_epi16``). Weights for processors therefore get headroom: no two of an output
channel add up to more than 128 in magnitude, so 255 times their sum stays below 32767 whichever two a runtime pairs. A
channel gives up what its two largest weights ask for, at most one bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from ssma_ros.errors import SsmaError
from ssma_ros.inference.build.onnx_graph import (
    CONVOLUTIONS,
    add_initializer,
    constant_of,
    decompress_weights,
    describe_output,
    drop_unused_initializers,
    is_pixel,
    layer_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from numpy.typing import NDArray

    #: Values of named tensors for one frame.
    Probe = Callable[[Mapping[str, NDArray]], Mapping[str, NDArray]]

_BINS = 2048
_LEVELS = 127
#: Convolutions with fewer input or output channels (of a group) stay as they are.
_MIN_CHANNELS = 16
#: What the magnitudes of two weights of an output channel may add up to before they are rounded; each rounding adds at
#: most a half, and 255 · (127 + 1) < 2¹⁵.
_PAIR_LEVELS = 127


def quantize_int8(
    model: ir.Model, frames: Sequence[Mapping[str, NDArray]], *, keep: Collection[str] = (), headroom: bool = True
) -> dict[str, float]:
    """Quantise the convolutions of a float32 graph, in place.

    Args:
        model: float32 graph as :func:`ssma_ros.inference.build.export.trace` makes it.
        frames: the graph's inputs for each calibration frame, ``present`` included.
        keep: convolutions that stay float32, by module path (``encoders.0.skips.1.conv``) or node name.
        headroom: for processors: weights whose products cannot saturate 16 bits in pairs. GPUs add in 32 bits.

    Returns:
        Scale of each quantised activation tensor, by tensor name.

    Raises:
        SsmaError: no calibration frames, or ``keep`` names what would not be quantised.
    """
    if not frames:
        raise SsmaError("int8: no calibration frames, expected at least one real frame")
    decompress_weights(model)
    candidates = [n for n in model.graph if _is_quantisable(n)]
    known = {name for n in candidates for name in (n.name, layer_name(n))}
    unknown = sorted(set(keep) - known)
    if unknown:
        raise SsmaError(
            f"int8: no quantised layer '{unknown[0]}', expected some of {', '.join(layer_name(n) for n in candidates)}"
        )
    convolutions = [n for n in candidates if n.name not in keep and layer_name(n) not in keep]
    names = sorted({str(n.inputs[0].name) for n in convolutions if n.inputs[0] is not None})
    scales = calibrate(model, frames, names)
    pairs: dict[str, ir.Value] = {}
    for node in convolutions:
        data = node.inputs[0]
        assert data is not None  # a convolution has data
        name = str(data.name)
        if name not in pairs:
            pairs[name] = _insert_pair(model.graph, node, data, scales[name])
        node.replace_input_with(0, pairs[name])
        _store_int8_weights(model.graph, node, headroom)
    drop_unused_initializers(model.graph)
    return scales


def calibrate(
    model: ir.Model, frames: Sequence[Mapping[str, NDArray]], names: Sequence[str]
) -> dict[str, float]:
    """Scale of each named tensor over ``frames``: two runs each, for the range and for the histogram."""
    probe = tensor_probe(model, names)
    largest = dict.fromkeys(names, 0.0)
    for frame in frames:
        for name, values in probe(frame).items():
            largest[name] = max(largest[name], float(np.abs(values).max()))
    histograms = {name: np.zeros(_BINS) for name in names}
    for frame in frames:
        for name, values in probe(frame).items():
            if largest[name] > 0:
                counts, _ = np.histogram(np.abs(values), bins=_BINS, range=(0.0, largest[name]))
                histograms[name] += counts
    return {name: _best_scale(histograms[name], largest[name]) for name in names}


def tensor_probe(model: ir.Model, names: Sequence[str]) -> Probe:
    """A function that runs one frame through ``model`` on the CPU and returns the named inner tensors."""
    import onnx

    from ssma_ros.inference.runtime.private_imports import import_onnxruntime

    onnxruntime = import_onnxruntime()
    proto = ir.to_proto(model)
    existing = {o.name for o in proto.graph.output}
    for name in names:
        if name not in existing:
            proto.graph.output.append(onnx.ValueInfoProto(name=name))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Fusion across a probed tensor is impossible anyway; leaving it off keeps the arithmetic the graph's own.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda frame: dict(zip(names, session.run(list(names), dict(frame)), strict=True))


def _best_scale(histogram: NDArray[np.float64], largest: float) -> float:
    """Scale s for round(x/s) in ±127 with the least mean squared error over a histogram of |x|."""
    if largest == 0:
        return 1.0 / _LEVELS
    centres = (np.arange(_BINS) + 0.5) * (largest / _BINS)
    best, best_error = largest / _LEVELS, np.inf
    for clip in np.linspace(0.2, 1.0, 81) * largest:
        scale = clip / _LEVELS
        rounded = np.minimum(np.round(centres / scale), _LEVELS) * scale
        error = float(histogram @ (rounded - centres) ** 2)
        if error < best_error:
            best, best_error = scale, error
    return float(best)


def _is_quantisable(node: ir.Node) -> bool:
    """A convolution that gains from int8: constant weights, many channels in and out, more than one pixel.

    Depthwise convolutions, those that read the image and those that make the class scores or narrow bottlenecks are
    left alone: they are memory-bound, so int8 makes them no faster, and they are where it costs most accuracy.
    """
    weights = constant_of(node.inputs[1]) if node.op_type in CONVOLUTIONS else None
    if weights is None or is_pixel(node.outputs[0]):
        return False
    # Both axes of a grouped convolution's weights count channels of one group (a transposed one's outputs, too).
    per_group = min(weights.shape[0] // _groups(node), weights.shape[1])
    return per_group >= _MIN_CHANNELS


def _groups(node: ir.Node) -> int:
    return node.attributes["group"].as_int() if "group" in node.attributes else 1


def _insert_pair(graph: ir.Graph, before: ir.Node, value: ir.Value, scale: float) -> ir.Value:
    name = str(value.name)
    scale_value = add_initializer(graph, f"{name}.scale", np.float32(scale))
    zero = add_initializer(graph, f"{name}.zero", np.int8(0))
    quantize = ir.node("QuantizeLinear", [value, scale_value, zero], name=f"{name}.quantize")
    dequantize = ir.node("DequantizeLinear", [quantize.outputs[0], scale_value, zero], name=f"{name}.dequantize")
    describe_output(quantize, f"{name}.int8", value, ir.DataType.INT8)
    graph.insert_before(before, [quantize, dequantize])
    return describe_output(dequantize, f"{name}.dequantized", value)


def _store_int8_weights(graph: ir.Graph, node: ir.Node, headroom: bool) -> None:
    weight, array = node.inputs[1], constant_of(node.inputs[1])
    assert weight is not None  # _is_quantisable has seen it
    assert array is not None
    array = array.astype(np.float32)
    # Output channels are the first axis of a convolution, the second of a transposed one; with groups the latter's
    # second axis holds several groups' channels at once, so their common scale covers them all.
    axis = 0 if node.op_type == "Conv" else 1
    channels = np.abs(np.moveaxis(array, axis, 0)).reshape(array.shape[axis], -1)
    largest = channels.max(axis=1)
    if node.op_type == "ConvTranspose" and _groups(node) > 1:
        channels = channels.reshape(1, -1)
        largest = np.full_like(largest, largest.max())
    scales = np.where(largest > 0, largest / _LEVELS, 1.0).astype(np.float32)
    if headroom:
        pairs = np.partition(channels, -2, axis=1)[:, -2:].sum(axis=1)
        scales = np.maximum(scales, pairs / _PAIR_LEVELS).astype(np.float32)
    shape = [1] * array.ndim
    shape[axis] = -1
    values = np.clip(np.round(array / scales.reshape(shape)), -_LEVELS, _LEVELS).astype(np.int8)
    inputs = [
        add_initializer(graph, f"{weight.name}.int8", values),
        add_initializer(graph, f"{weight.name}.scale", scales),
        add_initializer(graph, f"{weight.name}.zero", np.zeros(len(scales), np.int8)),
    ]
    dequantize = ir.node("DequantizeLinear", inputs, attributes={"axis": axis}, name=f"{weight.name}.dequantize")
    graph.insert_before(node, dequantize)
    node.replace_input_with(1, describe_output(dequantize, f"{weight.name}.dequantized", weight))
