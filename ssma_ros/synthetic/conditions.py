# SPDX-License-Identifier: Apache-2.0
"""Named conditions: season, light, weather and camera trouble, each drawn within its own ranges by the scene's seed.

The first twelve are those of the Synthia sequences, the others what cameras suffer outdoors. A condition changes
light and materials before rendering and the pictures of both eyes after it, so that the stereo matcher works, and
fails, on what the cameras would really have delivered.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ssma_ros.errors import SsmaError
from ssma_ros.synthetic.scene import SceneParameters

Range = tuple[float, float]
_NONE: Range = (0.0, 0.0)


@dataclass(frozen=True)
class Weather:
    """One drawing of a condition.

    Attributes:
        fog: extinction of fog in 1/m, in colour.
        snow: how much lies, 0..1.
        wetness: of the ground, 0..1.
        night: the only light is a weak sky and the robot's own lamp.
        dusk: red of a low sun's sky, 0..1.
        rain: streaks in the air, 0..1.
        drops: rain drops on the lenses, 0..1.
        dirt: dry dirt on the lenses, 0..1.
        glare: veil and ghosts of a sun in or near the picture, 0..1.
        stops: exposure error in stops, positive = too bright.
        motion: blur of a shaken camera in pixels.
    """

    fog: float = 0.0
    snow: float = 0.0
    wetness: float = 0.0
    night: bool = False
    dusk: float = 0.0
    rain: float = 0.0
    drops: float = 0.0
    dirt: float = 0.0
    glare: float = 0.0
    stops: float = 0.0
    motion: float = 0.0


#: Nothing but the scene itself.
CALM = Weather()


@dataclass(frozen=True)
class Condition:
    """A named condition: ranges that a scene's weather is drawn from; None keeps what the scene has.

    Attributes:
        season: of the scene (see ``SceneParameters``).
        elevation: of the sun in degrees.
        sun: strength of the sun.
        clouds: share of the sky covered.
        head_on: whether the trail leads towards the sun.
        night, fog, snow, wetness, dusk, rain, drops, dirt, glare, stops, motion: see ``Weather``.
    """

    name: str
    season: str | None = None
    elevation: Range | None = None
    sun: Range | None = None
    clouds: Range | None = None
    head_on: bool = False
    night: bool = False
    fog: Range = _NONE
    snow: Range = _NONE
    wetness: Range = _NONE
    dusk: Range = _NONE
    rain: Range = _NONE
    drops: Range = _NONE
    dirt: Range = _NONE
    glare: Range = _NONE
    stops: Range = _NONE
    motion: Range = _NONE

    def draw(self, seed: int) -> tuple[SceneParameters, Weather]:
        """The scene of ``seed`` under this condition."""
        rng = np.random.default_rng([seed, 6])
        weather = Weather(night=self.night, **{name: float(rng.uniform(*getattr(self, name))) for name in _DRAWN})
        parameters = SceneParameters.from_seed(seed, self.season)
        changes: dict[str, float] = {}
        if self.elevation is not None:
            changes["sun_elevation"] = float(np.radians(rng.uniform(*self.elevation)))
        if self.sun is not None:
            changes["sun_strength"] = float(rng.uniform(*self.sun))
        if self.clouds is not None:
            changes["cloud_cover"] = float(rng.uniform(*self.clouds))
        if self.head_on:
            changes["sun_azimuth"] = float(rng.normal(0.0, np.radians(14)))
        return replace(parameters, **changes), weather  # type: ignore[arg-type]


_DRAWN = ("fog", "snow", "wetness", "dusk", "rain", "drops", "dirt", "glare", "stops", "motion")
_DAY: Range = (20, 60)
_OVERCAST: Range = (0.0, 0.12)

CLEAR = Condition("clear")
_ALL = (
    CLEAR,
    Condition("summer", season="summer", elevation=(35, 65), sun=(0.9, 1.25), clouds=(0.0, 0.4)),
    Condition("fall", season="autumn", elevation=(15, 40), sun=(0.6, 1.1), clouds=(0.1, 0.7)),
    Condition(
        "winter", season="winter", elevation=(10, 28), sun=(0.3, 0.9), clouds=(0.2, 0.9), snow=(0.45, 1.0),
        stops=(0.3, 0.9),
    ),
    Condition("spring", season="spring", elevation=(25, 55), sun=(0.7, 1.15), clouds=(0.1, 0.6)),
    Condition("dawn", elevation=(2, 9), sun=(0.25, 0.5), clouds=(0.1, 0.5), fog=(0.006, 0.02), dusk=(0.2, 0.5)),
    Condition("sunset", elevation=(2, 9), sun=(0.6, 1.0), clouds=(0.1, 0.6), dusk=(0.6, 1.0)),
    Condition("night", night=True),
    Condition(
        "rain", elevation=_DAY, sun=_OVERCAST, clouds=(0.95, 1.0), wetness=(0.7, 1.0), rain=(0.6, 1.0),
        drops=(0.4, 1.0), fog=(0.010, 0.025),
    ),
    Condition(
        "soft_rain", elevation=_DAY, sun=_OVERCAST, clouds=(0.85, 1.0), wetness=(0.4, 0.7), rain=(0.15, 0.4),
        drops=(0.05, 0.35), fog=(0.003, 0.010),
    ),
    Condition("fog", elevation=_DAY, sun=_OVERCAST, clouds=(0.9, 1.0), fog=(0.04, 0.14), wetness=(0.1, 0.3)),
    Condition("night_rain", night=True, wetness=(0.7, 1.0), rain=(0.4, 0.9), drops=(0.3, 0.9), fog=(0.005, 0.02)),
    Condition("winter_night", season="winter", night=True, snow=(0.45, 1.0)),
    Condition("glare", elevation=(10, 20), sun=(1.0, 1.3), clouds=(0.0, 0.3), head_on=True, glare=(0.6, 1.0)),
    Condition("over_exposure", stops=(1.5, 2.8)),
    Condition("under_exposure", stops=(-3.4, -2.0)),
    Condition("motion_blur", motion=(7, 20)),
    Condition("lens_dirt", dirt=(0.4, 1.0)),
)  # fmt: skip
CONDITIONS: dict[str, Condition] = {condition.name: condition for condition in _ALL}


def find_condition(name: str) -> Condition:
    """The condition of that name.

    Raises:
        SsmaError: there is none.
    """
    try:
        return CONDITIONS[name]
    except KeyError:
        raise SsmaError(f"condition is {name!r}, expected one of {', '.join(CONDITIONS)}") from None


def parse_conditions(text: str) -> tuple[str, ...]:
    """Names from a comma-separated list; ``all`` stands for every one.

    Raises:
        SsmaError: a name is unknown, or the list is empty.
    """
    if text == "all":
        return tuple(CONDITIONS)
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise SsmaError(f"conditions are {text!r}, expected names from {', '.join(CONDITIONS)}, or all")
    return tuple(find_condition(name).name for name in names)
