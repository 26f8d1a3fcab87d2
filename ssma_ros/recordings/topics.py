# SPDX-License-Identifier: Apache-2.0
"""Which topics of a recording carry colour, depth, near infrared and their calibration."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ssma_ros.errors import SsmaError
from ssma_ros.messages.layouts import INTENSITY, LAYOUTS, MEASUREMENT
from ssma_ros.messages.transports import original_encoding
from ssma_ros.recordings.typestore import CAMERA_INFO, COMPRESSED_IMAGE, DISPARITY_IMAGE, IMAGE
from ssma_ros.sensors import SENSORS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ssma_ros.recordings.reader import Topic
    from ssma_ros.sensors import Sensor

_IMAGES = (IMAGE, COMPRESSED_IMAGE)
_DRIVER, *_PARTNERS = SENSORS
#: What a topic can be used for, and the message types that will do.
ROLES: Mapping[str, tuple[str, ...]] = {
    _DRIVER: _IMAGES,
    "camera_info": (CAMERA_INFO,),
    **dict.fromkeys(_PARTNERS, _IMAGES),
    "disparity": (DISPARITY_IMAGE,),
    "label": _IMAGES,
    **dict.fromkeys((f"{sensor}_camera_info" for sensor in _PARTNERS), (CAMERA_INFO,)),
}
#: Which sensor's image a role gives.
SENSOR_OF_ROLE: Mapping[str, str] = {
    **{sensor: sensor for sensor in SENSORS},
    "disparity": next(sensor.name for sensor in SENSORS.values() if sensor.disparity),
}
#: Value of a mapping that switches a role off.
NONE = "none"

_TRANSPORTS = ("compressed", "compressedDepth")
#: Images that are no sensor's, and those of sensors that are not registered to the colour camera (RealSense: infra1).
_OTHERS = {
    "disparity", "confidence", "mask", "overlay", "theora", "ffmpeg", "mono", "gray", "grey", "infra1", "infra2",
}  # fmt: skip
_LABEL = {"label", "labels", "semantic", "segmentation", "annotation"}
_RIGHT = {"right", "image1"}
_REGISTERED = {"aligned", "registered"}
#: Encodings of measurements that nothing else uses.
_MEASURED = MEASUREMENT.keys() - INTENSITY.keys() | {"16UC1", "32FC1"}


@dataclass(frozen=True)
class InputTopics:
    """Topics to read.

    Attributes:
        roles: topic by role (:data:`ROLES`); a role that the recording has none for, or that was switched off, is
            absent. ``depth`` and ``disparity`` are alternatives, never both there. Each role can be read as an
            attribute, None where it is absent.
        unused: images that were found to be nothing of these.
        left_out: roles that were switched off.
    """

    roles: Mapping[str, Topic] = field(default_factory=dict)
    unused: tuple[Topic, ...] = ()
    left_out: frozenset[str] = frozenset()

    def __getattr__(self, role: str) -> Topic | None:
        if role not in ROLES:
            raise AttributeError(role)
        return self.roles.get(role)

    def by_name(self) -> dict[str, str]:
        """Role of each topic name in use, in the order of :data:`ROLES`."""
        return {self.roles[role].name: role for role in ROLES if role in self.roles}

    def by_sensor(self) -> dict[str, str]:
        """Role of each sensor that has a topic; the first one drives."""
        given = {SENSOR_OF_ROLE[role]: role for role in self.roles if role in SENSOR_OF_ROLE}
        return {sensor: given[sensor] for sensor in SENSORS if sensor in given}

    def with_cameras(self, topics: Sequence[Topic], sensors: Iterable[str]) -> InputTopics:
        """The same with the camera infos beside the images of these sensors, whose cameras are others than the colour
        camera, and without those of others.

        Args:
            topics: everything in the recording.
            sensors: to look for; a camera info that is settled already stays.
        """
        driver, *others = self.by_sensor().items()
        own = {f"{sensor}_camera_info": role for sensor, role in others if sensor in sensors}
        found = {role: t for role, t in self.roles.items() if role in own or not role.endswith("_camera_info")}
        if self.camera_info is not None:
            found["camera_info"] = self.camera_info
        for name, role in own.items():
            beside = [t for t in topics if t.type == CAMERA_INFO and t.count and t.name == self._info_beside(role)]
            if name in found or not beside:
                continue
            if beside[0] != self.camera_info:
                found[name] = beside[0]
            elif beside[0].name != self._info_beside(driver[1]):  # the only one, and not the driving camera's
                found[name] = found.pop("camera_info")
        return replace(self, roles=found)

    def info_role(self, sensor: str) -> str:
        """The role whose messages are the camera info of a sensor's own camera; empty where there is none."""
        name, role = f"{sensor}_camera_info", self.by_sensor().get(sensor)
        if name in self.roles or role is None:
            return name if name in self.roles else ""
        shared = self.camera_info is not None and self.camera_info.name == self._info_beside(role)
        return "camera_info" if shared else ""

    def info_name(self, sensor: str) -> str:
        """The topic that has, or should have, the camera info of a sensor's own camera; for messages."""
        role = self.info_role(sensor)
        return self.roles[role].name if role else self._info_beside(self.by_sensor()[sensor])

    def _info_beside(self, role: str) -> str:
        return f"{_base_name(self.roles[role]).rpartition('/')[0]}/camera_info"

    def without(self, role: str) -> InputTopics:
        """The same, but for one role."""
        return replace(self, roles={name: topic for name, topic in self.roles.items() if name != role})


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
    measured = SENSOR_OF_ROLE["disparity"]
    for role in ("label", *reversed(_PARTNERS), "disparity", _DRIVER):
        if role in chosen:
            continue
        if role == "disparity" and chosen[measured] is not None:
            continue  # an alternative that is not needed
        if role == measured and chosen.get("disparity") is not None:
            chosen[measured] = None
            continue
        taken = {t for t in chosen.values() if t is not None}
        chosen[role] = _find(role, [t for t in usable if t not in taken and t.type in ROLES[role]], where)
    found = {role: topic for role, topic in chosen.items() if topic is not None}
    if _DRIVER not in found and mapping.get(_DRIVER) != NONE:
        given = "".join(f"; {topic.name} is taken for {role}" for role, topic in found.items() if role in mapping)
        raise SsmaError(f"recording {where}: no colour image topic among {_listing(topics)}{given}; name one with "
                        f"--topic {_DRIVER}:=/its/name, or go without by --topic {_DRIVER}:={NONE}")
    roles = InputTopics(found).by_sensor()
    if not roles:
        raise SsmaError(f"recording {where}: no image topic left to segment")
    info = None
    if "camera_info" not in mapping:
        info = _find_camera_info(usable, found[next(iter(roles.values()))], where)
    if info is not None:
        found["camera_info"] = info
    used = {_base_name(topic) for topic in found.values()}
    unused = tuple(t for t in usable if t.type in _IMAGES and _base_name(t) not in used)
    return InputTopics(found, unused, frozenset(role for role, wanted in mapping.items() if wanted == NONE))


def _mapped(topics: Sequence[Topic], role: str, wanted: str, where: str) -> Topic | None:
    name, _, kind = wanted.partition("@")
    kind = _full_type(kind)
    named = [t for t in topics if t.name == name and (not kind or t.type == kind)]
    if not named and not kind and ROLES[role] == _IMAGES:
        # An image is known by its raw topic too, of which perhaps only another transport was recorded.
        packed = [t for t in topics if _base_name(t) == name and t.type == COMPRESSED_IMAGE]
        if packed:
            return _only_transport(packed, role, where)
    if not named:
        without = "" if role == _DRIVER else f"; go without by --topic {role}:={NONE}"
        raise SsmaError(f"recording {where}: no topic {wanted} for {role}, expected one of {_listing(topics)}{without}")
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


def _find(role: str, candidates: list[Topic], where: str) -> Topic | None:
    if role == "label":
        return _only_transport([t for t in candidates if _words(t) & _LABEL], role, where)
    if role == "disparity":
        return _only_transport(candidates, role, where)
    images = [t for t in candidates if not _words(t) & (_LABEL | _OTHERS)]
    if role == _DRIVER:
        return _find_color(images, where)
    return _find_partner(SENSORS[role], images, where)


def _find_color(candidates: list[Topic], where: str) -> Topic | None:
    words = SENSORS[_DRIVER].words
    of_partners = {word for partner in _PARTNERS for word in SENSORS[partner].words}
    images = [t for t in candidates if _may_be(t, SENSORS[_DRIVER]) and not _is_measurement(t)]
    # A picture in depth's view (rgb_to_depth) or of a depth_camera/rgb counts where there is no other.
    images = _preferred(images, lambda t: bool(_words(t) & words), lambda t: not _words(t) & of_partners)
    images = [t for t in images if _words(t) & words or not _words(t) & of_partners]
    return _only_transport(
        _preferred(
            images, lambda t: not _words(t) & _RIGHT, _rectified, lambda t: "left" not in _words(t),
            lambda t: "stereo" not in _words(t),
        ), _DRIVER, where,
    )  # fmt: skip


def _find_partner(sensor: Sensor, candidates: list[Topic], where: str) -> Topic | None:
    others = {word for other in _PARTNERS if other != sensor.name for word in SENSORS[other].words}
    fitting = [t for t in candidates if _may_be(t, sensor)]
    images = [t for t in fitting if _is_named(t, sensor)]
    if not images and sensor.name == SENSOR_OF_ROLE["disparity"]:  # by encoding alone: /oak/stereo/image_raw
        images = [t for t in fitting if _is_measurement(t) and not _words(t) & others]
        if len({_base_name(t) for t in images}) > 1:
            return None  # a guess between several would be none; they are named where depth is missing
    return _only_transport(
        _preferred(
            images,
            lambda t: not _words(t) & others,
            lambda t: bool(_words(t) & _REGISTERED) or bool("to" in _words(t) and SENSORS[_DRIVER].words & _words(t)),
            lambda t: not _words(t) & _RIGHT,
            _rectified,
        ),
        sensor.name, where,
    )  # fmt: skip


def _is_named(topic: Topic, sensor: Sensor) -> bool:
    if topic.name.endswith("/compressedDepth"):
        return sensor.name == SENSOR_OF_ROLE["disparity"] and (
            bool(_words(topic) & sensor.words) or not _words(topic) & SENSORS[_DRIVER].words
        )
    return bool(_words(topic) & sensor.words)


def _preferred(topics: list[Topic], *rules: Callable[[Topic], bool]) -> list[Topic]:
    """Those that fit the rules; a rule that none fits says nothing."""
    for rule in rules:
        topics = [t for t in topics if rule(t)] or topics
    return topics


def _rectified(topic: Topic) -> bool:
    return "rect" in _words(topic)


def _may_be(topic: Topic, sensor: Sensor) -> bool:
    """Whether the encoding of its first message, as far as it is known, is one of the sensor's."""
    encoding = _encoding(topic)
    known = any(encoding in layouts for layouts in LAYOUTS.values())
    return not known or encoding in LAYOUTS[sensor.pixels]


def _is_measurement(topic: Topic) -> bool:
    return _encoding(topic) in _MEASURED or topic.name.endswith("/compressedDepth")


def _encoding(topic: Topic) -> str:
    return original_encoding(topic.encoding) if topic.type == COMPRESSED_IMAGE else topic.encoding


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


def _base_name(topic: Topic) -> str:
    base, _, last = topic.name.rpartition("/")
    return base if last in _TRANSPORTS else topic.name


def _words(topic: Topic) -> set[str]:
    return set(re.split(r"[/_]+", _base_name(topic).lower())) - {""}


def _listing(topics: Sequence[Topic]) -> str:
    kinds = ((t.name, f"{t.type}, {t.encoding}" if t.encoding else t.type) for t in topics)
    return ", ".join(f"{name} ({kind})" for name, kind in kinds) or "no topic at all"
