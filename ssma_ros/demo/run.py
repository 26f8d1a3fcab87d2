# SPDX-License-Identifier: Apache-2.0
"""The demo from end to end: plan, live run, pictures, figures."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ssma_ros.contract import contract_path_for, load_contract
from ssma_ros.demo import plan as plans
from ssma_ros.demo.contact_sheet import contact_sheet
from ssma_ros.demo.live import LivePlan, LiveResult, run_live, shared_memory_note
from ssma_ros.demo.machine import describe_machine, describe_versions
from ssma_ros.demo.node_report import node_report
from ssma_ros.demo.overlay_video import write_overlay_video
from ssma_ros.demo.results import DriveResults
from ssma_ros.demo.summary import FORMAT, VERSION, measured
from ssma_ros.errors import SsmaError
from ssma_ros.files import write_json, write_picture
from ssma_ros.folders import WholeFolder
from ssma_ros.inference import find_model
from ssma_ros.recordings.reader import RecordingReader
from ssma_ros.recordings.topics import InputTopics, find_input_topics, parse_mapping
from ssma_ros.recordings.transforms import recorded_extrinsics
from ssma_ros.sensors import FROM_TF, registered
from ssma_ros.share import share_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ssma_ros.contract import Contract

SUMMARY = "summary.json"
RECORDING = "recording"
SHEET = "contact_sheet.png"
VIDEO = "overlay.mp4"
_STRIP = 6


@dataclass(frozen=True)
class DemoOptions:
    """What to show.

    Attributes:
        recording: rosbag2 to play.
        output: folder to make; an earlier demo's folder is replaced.
        node: how to run the network.
        rate: speed of playing.
        topics: ``role:=/topic`` entries for the recording.
        storage: of the output recording.
    """

    recording: Path
    output: Path
    node: plans.NodeOptions
    rate: float = 1.0
    topics: Sequence[str] = field(default_factory=list)
    storage: str = "mcap"


class Observer(Protocol):
    """Told how the demo goes on."""

    def stage(self, words: str) -> None:
        """A new stage begins."""
        ...

    def playing(self, frames: int) -> None:
        """Playing of a recording with so many driving images begins."""
        ...

    def event(self, name: str) -> None:
        """``frame``: an image was published; ``mask``: a mask arrived."""
        ...


def run_demo(options: DemoOptions, observer: Observer) -> dict[str, Any]:
    """Play, segment, record, and write the results.

    Returns:
        The summary, as written to ``summary.json``.

    Raises:
        SsmaError: bad input, a process that failed, a disk that is full; the output folder is then not made.
    """
    if not options.rate > 0:
        raise SsmaError(f"rate: got {options.rate}, expected a positive number")
    contract = load_contract(contract_path_for(find_model(options.node.model, backend=options.node.backend)))
    with RecordingReader(options.recording) as reader:
        topics = find_input_topics(reader.topics, str(options.recording), parse_mapping(options.topics))
        options = replace(options, node=_with_places(options.node, reader, topics))
    machine = describe_machine()
    whole = WholeFolder(options.output, what="demo output", replace_if=SUMMARY, source=options.recording)
    with whole as folder, tempfile.TemporaryDirectory(prefix="ssma-demo-") as scratch:
        live = _live(options, contract, topics, folder, Path(scratch), observer)
        observer.stage("Drawing")
        return _write_results(options, contract, topics, folder, live, machine)


def _with_places(node: plans.NodeOptions, reader: RecordingReader, topics: InputTopics) -> plans.NodeOptions:
    """The same with the places of the cameras that are registered: the player publishes no tf."""
    looked_up = [sensor for sensor, given in registered(node.parameters).items() if given == FROM_TF]
    found = recorded_extrinsics(reader, topics, looked_up) if looked_up else {}
    places = {f"{sensor}_extrinsics": list(place) for sensor, place in found.items()}
    return replace(node, parameters={**node.parameters, **places})


def _live(
    options: DemoOptions, contract: Contract, topics: InputTopics, folder: Path, scratch: Path, observer: Observer
) -> LiveResult:
    publish = plans.published_topics(contract, topics)
    plan = LivePlan(
        recording=options.recording,
        output=folder / RECORDING,
        topic_mapping=options.topics,
        publish=publish,
        record=plans.recorded_topics(contract),
        node_command=plans.node_command(options.node, topics, publish),
        node_name=plans.NODE_NAME,
        mask_topic=plans.output_topics(contract).mask,
        rate=options.rate,
        storage=options.storage,
    )
    note = shared_memory_note()
    if note is not None:
        observer.stage(f"Note: {note}")
    observer.stage("Starting player, fusion node and recorder (the first start compiles, about a minute)")
    observer.playing(getattr(topics, next(iter(publish))).count)
    return run_live(plan, scratch, dds_profile=share_path("config", "fastdds.xml"), on_event=observer.event)


def _write_results(
    options: DemoOptions,
    contract: Contract,
    topics: InputTopics,
    folder: Path,
    live: LiveResult,
    machine: dict[str, Any],
) -> dict[str, Any]:
    outputs = plans.output_topics(contract)
    results = DriveResults((options.recording, topics), (folder / RECORDING, outputs), contract)
    summary: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "recording": str(options.recording),
        "playback_rate": options.rate,
        "model": options.node.model,
        **measured(live),
        "accuracy": results.accuracy(),
        "node": node_report(folder / RECORDING, plans.NODE_NAME),
        "machine": machine,
        "versions": describe_versions(),
    }
    summary["frames"]["degraded"] = summary["node"]["degraded"]
    note = f"{Path(options.node.model).name}, live"
    summary["video_codec"] = write_overlay_video(
        folder / VIDEO, results.frames(), results.mask_size(), contract.labels, rate=results.frame_rate(), note=note
    )
    _write_sheet(folder / SHEET, results, contract, options, summary)
    write_json(folder / SUMMARY, summary)
    return summary


def _write_sheet(
    path: Path, results: DriveResults, contract: Contract, options: DemoOptions, summary: dict[str, Any]
) -> None:
    stamp = results.best_stamp()
    assert stamp is not None, "a live run without masks ends before this"
    accuracy = summary["accuracy"]
    sheet = contact_sheet(
        results.scene(stamp),
        results.strip(_STRIP),
        contract.labels,
        title=f"{options.recording.name}, segmented live",
        subtitle="   ·   ".join(headline(summary)),
        class_iou={k: v for k, v in accuracy["iou"].items() if v is not None} if accuracy else None,
    )
    write_picture(path, sheet[..., ::-1])


def headline(summary: dict[str, Any]) -> list[str]:
    """The figures that matter, in words."""
    frames, latency = summary["frames"], summary["latency_ms"]
    identity = summary["node"]["identity"]
    model = Path(summary["model"]).name
    words = [f"{model} on {identity}" if identity else model]
    if summary["rate_hz"] is not None:
        words.append(f"{summary['rate_hz']:.1f} Hz")
    if latency is not None:
        words.append(f"latency {latency['p50']:.0f} ms (p95 {latency['p95']:.0f} ms)")
    words.append(f"{frames['segmented']} of {frames['published']} frames")
    if frames["degraded"]:
        words.append(f"{frames['degraded']} degraded")
    if summary["accuracy"] is not None and summary["accuracy"]["miou"] is not None:
        words.append(f"mIoU {summary['accuracy']['miou']:.2f}")
    return words
