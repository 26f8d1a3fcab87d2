# SPDX-License-Identifier: Apache-2.0
"""Everything the node holds between configure and cleanup: network, publishers, subscriptions, worker."""

from __future__ import annotations

import time
import traceback
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from ssma_ros.encodings.base import EncoderOptions
from ssma_ros.errors import SsmaError
from ssma_ros.messages.catalogue import OutputCatalog, OutputOptions, unknown_classes
from ssma_ros.options import part
from ssma_ros.ros.input_topics import needed_sensors
from ssma_ros.ros.processing import FrameProcessor
from ssma_ros.ros.publishers import OutputPublishers
from ssma_ros.ros.qos import unused_overrides
from ssma_ros.ros.statistics import ThrottledLog
from ssma_ros.ros.subscriptions import InputSubscriptions
from ssma_ros.ros.transforms import ListenedTransforms
from ssma_ros.ros.worker import FusionWorker
from ssma_ros.segmenter import Segmenter, SegmenterOptions
from ssma_ros.sensors import DRIVER, registered
from ssma_ros.synchronization import SyncOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from rclpy.node import Node

    from ssma_ros.contract import Contract
    from ssma_ros.inference.runtime.protocol import Backend
    from ssma_ros.ros.parameters import FusionParameters



class FusionSession:
    """A configured node's parts, wired together.

    Args:
        node: that owns publishers and subscriptions.
        parameters: current at configure; see :meth:`set_parameters` for changes.
        load: loads the network.

    Raises:
        SsmaError: the network cannot be loaded, or a parameter names something it does not have.
    """

    def __init__(self, node: Node, parameters: FusionParameters, load: Callable[[FusionParameters], Backend]) -> None:
        self.parameters = parameters
        self._node = node
        self.log = ThrottledLog(node.get_logger().warning, time.monotonic_ns)
        with ExitStack() as undo:  # of a configure that fails half-way nothing stays
            self._transforms = ListenedTransforms.from_parameters(node, parameters)
            if self._transforms is not None:
                undo.callback(self._transforms.close)
            self.segmenter = self._open_network(load)
            undo.callback(self.segmenter.close)
            contract = self.segmenter.contract
            sensors = needed_sensors(contract, parameters)
            catalog = OutputCatalog(contract, part(OutputOptions, parameters))
            self.publishers = OutputPublishers(node, catalog, self.log.say)
            undo.callback(self.publishers.close)
            self.inputs = InputSubscriptions(node, parameters, sensors, self._deliver, self.log.say)
            undo.callback(self.inputs.close)
            self.processor = FrameProcessor(
                self.segmenter, self.publishers, self.inputs, lambda: self.parameters, self.log, self._transforms
            )
            self.worker = FusionWorker(
                sync_options(contract, parameters, sensors), self.processor.handle, self.processor.ticket, self._failed
            )
            undo.pop_all()
        logger = node.get_logger()
        if self.publishers.not_installed:
            logger.info(f"not published, message type not installed: {', '.join(self.publishers.not_installed)}")
        for sentence in unused_overrides(node):
            logger.warning(sentence)
        logger.info(f"needs {', '.join(sensors)}")

    def _open_network(self, load: Callable[[FusionParameters], Backend]) -> Segmenter:
        """Load the network and run it once, with a line of the log before everything that takes long."""
        logger, parameters = self._node.get_logger(), self.parameters
        start = time.monotonic()
        logger.info(f"loading model {parameters.model}")
        backend = load(parameters)
        segmenter: Segmenter | None = None
        try:
            _check_class_names(backend.contract, parameters)
            device = parameters.preprocessing_device
            encoding = part(EncoderOptions, parameters)
            segmenter = Segmenter(backend, part(SegmenterOptions, parameters), encoding, device)
            logger.info(f"preprocessing on the {segmenter.preprocessing.upper()}")
            logger.info(f"warming up {', '.join(f'{k} {v}' for k, v in backend.identity.items())}")
            segmenter.warm_up(registered(vars(parameters)))
            OutputCatalog(backend.contract).warm_up()  # else the first subscriber of a cloud would stop all outputs
        except BaseException:
            (segmenter or backend).close()
            raise
        logger.info(f"model ready after {time.monotonic() - start:.1f} s")
        return segmenter

    def activate(self) -> None:
        """Let frames through."""
        self.publishers.publish_label_info(self.parameters.min_confidence)
        self.processor.set_open(True)
        self.worker.set_active(True)

    def deactivate(self) -> None:
        """Stop; nothing is published after this returns. A frame in work is dropped when it is done."""
        self.worker.set_active(False)
        self.processor.set_open(False)

    def check_parameters(self, parameters: FusionParameters) -> None:
        """Whether the network can be run so.

        Raises:
            SsmaError: a parameter names something the network does not have.
        """
        _check_class_names(self.segmenter.contract, parameters)

    def set_parameters(self, parameters: FusionParameters) -> None:
        """Adopt changed live parameters, checked before, from the next frame on."""
        contract = self.segmenter.contract
        before, self.parameters = self.parameters, parameters
        self.segmenter.options = part(SegmenterOptions, parameters)
        self.worker.set_options(sync_options(contract, parameters, needed_sensors(contract, parameters)))
        if part(OutputOptions, before) != part(OutputOptions, parameters):
            catalog = OutputCatalog(contract, part(OutputOptions, parameters))
            self.processor.between_frames(lambda: self.publishers.set_catalog(catalog))
        if self.worker.active and before.min_confidence != parameters.min_confidence:
            self.publishers.publish_label_info(parameters.min_confidence)

    def close(self, timeout_s: float = 30.0) -> None:
        """Release everything, after the frame in work, for which it waits at most ``timeout_s``."""
        with ExitStack() as parts:  # the last one first, and each of them even where another fails
            parts.callback(self._close_network, timeout_s)
            if self._transforms is not None:
                parts.callback(self._transforms.close)
            parts.callback(self.processor.between_frames, self.publishers.close)
            parts.callback(self.inputs.close)
            parts.callback(self.deactivate)

    def _close_network(self, timeout_s: float) -> None:
        if self.worker.close(timeout_s):
            self.segmenter.close()
        else:  # closing a network that is at work would crash the process
            words = f"the network did not finish its frame in {timeout_s:.0f} s, its memory is not released"
            self._node.get_logger().error(words)

    def _deliver(self, sensor: str, stamp_ns: int, message: Any) -> None:
        self.worker.offer(sensor, stamp_ns, message)

    def _failed(self, error: Exception) -> None:
        self.processor.failed(error)
        words = "".join(traceback.format_exception(error))
        self.log.say(f"failure {type(error).__name__}", f"a frame was lost to an error:\n{words}")


def sync_options(contract: Contract, parameters: FusionParameters, sensors: tuple[str, ...]) -> SyncOptions:
    """The part of the parameters that says how frames are matched."""
    drivers: tuple[str, ...] = (DRIVER,)
    if parameters.driver == "any":
        # A sensor can stand in for colour only if some stream is made from it alone.
        alone = {stream.sensors[0] for stream in contract.streams if len(stream.sensors) == 1}
        drivers += tuple(sensor for sensor in sensors if sensor != DRIVER and sensor in alone)
    return part(SyncOptions, parameters, sensors=sensors, drivers=drivers)


def _check_class_names(contract: Contract, parameters: FusionParameters) -> None:
    for name in ("class_confidence_topics", "points_semantic_fields"):
        unknown = unknown_classes(contract, getattr(parameters, name))
        if unknown:
            raise SsmaError(
                f"parameter {name} names {', '.join(unknown)}, expected classes of the network: "
                f"{', '.join(contract.labels.names)} (or '*' for all)"
            )
