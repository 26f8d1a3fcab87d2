"""Which topics of a recording carry colour, depth, near infrared and their calibration."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from ssma_ros.errors import SsmaError
from ssma_ros.recordings.typestore import CAMERA_INFO, COMPRESSED_IMAGE, DISPARITY_IMAGE, IMAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ssma_ros.recordings.reader import Topic

#: What a topic can be used for, and the message types that will do.
ROLES: Mapping[str, tuple[str, ...]] = {
    "color": (IMAGE, COMPRESSED_IMAGE),
    "camera_info": (CAMERA_INFO,),
    "depth": (IMAGE, COMPRESSED_IMAGE),
    "disparity": (DISPARITY_IMAGE,),
    "nir": (IMAGE, COMPRESSED_IMAGE),
    "label": (IMAGE, COMPRESSED_IMAGE),
}
#: Value of a mapping that switches a role off.
NONE = "none"

_TRANSPORTS = ("compressed", "compressedDepth")
_COLOR = {"color", "colour", "rgb", "bgr"}
_NOT_COLOR = {"disparity", "confidence", "mask", "overlay", "theora", "ffmpeg", "mono", "infra1", "infra2"}
_NIR = {"nir", "ir", "infrared"}
_LABEL = {"label", "labels", "semantic", "segmentation", "annotation"}
_RIGHT = {"right", "image1"}


@dataclass(frozen=True)
class InputTopics:
    """Topics to read, by role; None = the recording has none (or it was switched off).

    ``depth`` and ``disparity`` are alternatives, never both set.
    """

    color: Topic | None = None
    camera_info: Topic | None = None
    depth: Topic | None = None
    disparity: Topic | None = None
    nir: Topic | None = None
    label: Topic | None = None

    def by_name(self) -> dict[str, str]:
        """Role of each topic name in use."""
        chosen = ((role.name, getattr(self, role.name)) for role in fields(self))
        return {topic.name: role for role, topic in chosen if topic is not None}


def parse_mapping(entries: Sequence[str]) -> dict[str, str]:
    """Read ``role:=/topic`` or ``role:=/topic@type`` entries of a command line.

    Raises:
        SsmaError: an entry has another form, an unknown role, or names a role twice.
    """
    mapping: dict[str, str] = {}
    for entry in entries:
        role, separator, topic = entry.partition(":=")
        if not separator or not topic or role not in ROLES:
            raise SsmaError(
                f"topic mapping '{entry}': expected ROLE:=/topic, ROLE:=/topic@type or ROLE:={NONE} "
                f"with ROLE one of {', '.join(ROLES)}"
            )
        if role in mapping:
            raise SsmaError(f"topic mapping '{entry}': {role} is given twice")
        mapping[role] = topic
    return mapping


def find_input_topics(topics: Sequence[Topic], where: str, mapping: Mapping[str, str] | None = None) -> InputTopics:
    """Choose the topics that a recording's frames are made of, by message type and by name.

    Args:
        topics: everything in the recording.
        where: what to call the recording in messages.
        mapping: roles settled by the user, see :func:`parse_mapping`.

    Raises:
        SsmaError: a mapped topic is not there or has an unusable type, several topics fit a role equally
            well, or there is no image at all to drive the frames.
    """
    mapping = mapping or {}
    usable = [t for t in topics if t.count > 0]
    chosen: dict[str, Topic | None] = {
        role: None if wanted == NONE else _mapped(topics, role, wanted, where) for role, wanted in mapping.items()
    }
    finders: dict[str, Callable[[list[Topic], str], Topic | None]] = {
        "label": _find_label, "nir": _find_nir, "depth": _find_depth, "disparity": _find_disparity,
        "color": _find_color,
    }
    for role, finder in finders.items():
        if role not in chosen:
            if role == "disparity" and chosen["depth"] is not None:
                continue  # an alternative that is not needed
            if role == "depth" and chosen.get("disparity") is not None:
                chosen["depth"] = None
                continue
            taken = {t for t in chosen.values() if t is not None}
            chosen[role] = finder([t for t in usable if t not in taken and t.type in ROLES[role]], where)
    found = InputTopics(**chosen)
    if found.color is None and mapping.get("color") != NONE:
        raise SsmaError(f"recording {where}: no colour image topic among {_listing(topics)}; name one with "
                        f"--topic color:=/its/name, or go without by --topic color:={NONE}")
    driver = found.color or found.depth or found.disparity or found.nir
    if driver is None:
        raise SsmaError(f"recording {where}: no image topic left to segment")
    if "camera_info" not in mapping:
        found = replace(found, camera_info=_find_camera_info(usable, driver, where))
    return found


def _mapped(topics: Sequence[Topic], role: str, wanted: str, where: str) -> Topic:
    name, _, kind = wanted.partition("@")
    kind = _full_type(kind)
    named = [t for t in topics if t.name == name and (not kind or t.type == kind)]
    if not named:
        raise SsmaError(f"recording {where}: no topic {wanted} for {role}, expected one of {_listing(topics)}")
    fitting = [t for t in named if t.type in ROLES[role]]
    if not fitting:
        raise SsmaError(
            f"recording {where}: topic {name} for {role} has type {named[0].type}, expected {' or '.join(ROLES[role])}"
        )
    return _only(fitting, role, where)


def _full_type(kind: str) -> str:
    """``sensor_msgs/Image`` → ``sensor_msgs/msg/Image``."""
    package, _, rest = kind.partition("/")
    return f"{package}/msg/{rest}" if rest and not rest.startswith("msg/") else kind


def _find_color(candidates: list[Topic], where: str) -> Topic | None:
    images = [t for t in candidates if not _words(t) & (_NOT_COLOR | _NIR | _LABEL) and not _is_depth(t)]
    preferred = [t for t in images if _words(t) & _COLOR]
    images = preferred or images
    images = [t for t in images if not _words(t) & _RIGHT] or images
    rectified = [t for t in images if "rect" in _words(t)]
    return _only_transport(rectified or images, "color", where)


def _find_depth(candidates: list[Topic], where: str) -> Topic | None:
    images = [t for t in candidates if _is_depth(t) and not _words(t) & (_LABEL | {"confidence"})]
    aligned = [t for t in images if _words(t) & {"aligned", "registered"}]
    rectified = [t for t in aligned or images if "rect" in _words(t)]
    return _only_transport(rectified or aligned or images, "depth", where)


def _find_disparity(candidates: list[Topic], where: str) -> Topic | None:
    return _only_transport(candidates, "disparity", where)


def _find_nir(candidates: list[Topic], where: str) -> Topic | None:
    images = [t for t in candidates if _words(t) & _NIR and not _is_depth(t)]
    return _only_transport([t for t in images if "rect" in _words(t)] or images, "nir", where)


def _find_label(candidates: list[Topic], where: str) -> Topic | None:
    return _only_transport([t for t in candidates if _words(t) & _LABEL], "label", where)


def _find_camera_info(topics: Sequence[Topic], driver: Topic, where: str) -> Topic | None:
    infos = [t for t in topics if t.type == CAMERA_INFO]
    namespace = _base_name(driver).rpartition("/")[0]
    beside = [t for t in infos if t.name == f"{namespace}/camera_info"]
    return _only(beside or infos, "camera_info", where) if infos else None


def _only_transport(candidates: list[Topic], role: str, where: str) -> Topic | None:
    """The one image among ``candidates``; of the transports of one image the least lossy that was recorded."""
    by_image: dict[str, list[Topic]] = {}
    for topic in candidates:
        by_image.setdefault(_base_name(topic), []).append(topic)
    rank = ("compressedDepth", "compressed") if role == "depth" else ("compressed", "compressedDepth")
    best = [min(group, key=lambda t: _rank(t, rank)) for group in by_image.values()]
    return _only(best, role, where) if best else None


def _rank(topic: Topic, transports: Sequence[str]) -> int:
    """0 for a raw image, then by the order of ``transports``."""
    last = topic.name.rpartition("/")[2]
    return 1 + transports.index(last) if last in transports else 0


def _only(candidates: Sequence[Topic], role: str, where: str) -> Topic:
    if len(candidates) > 1:
        raise SsmaError(
            f"recording {where}: {len(candidates)} topics could be {role} ({_listing(candidates)}); "
            f"choose with --topic {role}:={candidates[0].name}@{candidates[0].type} or another of them"
        )
    return candidates[0]


def _is_depth(topic: Topic) -> bool:
    words = _words(topic)
    return "depth" in words or (topic.name.endswith("/compressedDepth") and not words & _COLOR)


def _base_name(topic: Topic) -> str:
    base, _, last = topic.name.rpartition("/")
    return base if last in _TRANSPORTS else topic.name


def _words(topic: Topic) -> set[str]:
    return set(re.split(r"[/_]+", _base_name(topic).lower())) - {""}


def _listing(topics: Sequence[Topic]) -> str:
    return ", ".join(f"{t.name} ({t.type})" for t in topics) or "no topic at all"
