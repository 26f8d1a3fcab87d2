"""What the node's parameters mean to the rooms that work by them; no rclpy, so that ``ssma play`` works by the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

from ssma_ros.encodings.base import EncoderOptions
from ssma_ros.messages.assemble import AssemblyOptions
from ssma_ros.messages.catalogue import OutputOptions
from ssma_ros.segmenter import SegmenterOptions
from ssma_ros.sensors import readings

if TYPE_CHECKING:
    from ssma_ros.ros.parameters import FusionParameters


def assembly_options(parameters: FusionParameters) -> AssemblyOptions:
    """The part of the parameters that says how images are put together."""
    return AssemblyOptions(
        size_mismatch="resize" if parameters.size_mismatch == "resize" else "refuse",
        check_frame_id=parameters.check_frame_id,
        readings=readings(vars(parameters)),
    )


def network_options(parameters: FusionParameters) -> dict[str, Any]:
    """The part of the parameters that says what runs the network, as arguments of its loader."""
    return {
        "backend": parameters.backend,
        "precision": parameters.precision,
        "threads": parameters.threads,
        "cache_dir": parameters.cache_dir or None,
        "rebuild_engine": parameters.rebuild_engine,
    }


def segmenter_options(parameters: FusionParameters) -> SegmenterOptions:
    """The part of the parameters that says how results are delivered."""
    resolution = cast("Literal['network', 'camera']", parameters.output_resolution)
    return SegmenterOptions(output_resolution=resolution, min_confidence=parameters.min_confidence)


def encoder_options(parameters: FusionParameters) -> EncoderOptions:
    """The part of the parameters that says what robot carries the sensors."""
    return EncoderOptions(
        camera_height=parameters.camera_height or None,
        gravity_smoothing=parameters.gravity_smoothing,
        gravity_guard=parameters.gravity_guard,
        threads=parameters.preprocessing_threads,
    )


def output_options(parameters: FusionParameters) -> OutputOptions:
    """The part of the parameters that says how outputs look."""
    return OutputOptions(
        class_confidence_topics=parameters.class_confidence_topics,
        class_confidence_encoding=cast("Literal['mono8', '32FC1']", parameters.class_confidence_encoding),
        overlay_opacity=parameters.overlay_opacity,
        points_depth=cast("Literal['measured', 'completed']", parameters.points_depth),
        points_semantic_fields=parameters.points_semantic_fields,
        jpeg_quality=parameters.jpeg_quality,
    )
