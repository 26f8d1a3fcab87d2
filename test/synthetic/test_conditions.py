# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

from ssma_ros.errors import SsmaError
from ssma_ros.synthetic.conditions import CALM, CLEAR, CONDITIONS, Weather, find_condition, parse_conditions
from ssma_ros.synthetic.dataset import DatasetRecipe
from ssma_ros.synthetic.lens import Lens
from ssma_ros.synthetic.lighting import Light
from ssma_ros.synthetic.materials import ForestClass
from ssma_ros.synthetic.renderer import Pose
from ssma_ros.synthetic.sampling import Sample, Scene
from ssma_ros.synthetic.scene import SceneParameters

SYNTHIA = ("summer", "fall", "winter", "spring", "dawn", "sunset", "night", "rain", "soft_rain", "fog")
SEED = 21


def capture(renderer, rig, name: str, **changes) -> Sample:
    rng = np.random.default_rng([SEED, 10])
    condition = dataclasses.replace(find_condition(name), **changes)
    scene = Scene(renderer, SEED, rig, condition=condition)
    return scene.capture(scene.random_pose(rng), rng)


def test_the_twelve_of_synthia_and_the_troubles_of_cameras_are_there():
    assert {*SYNTHIA, "night_rain", "winter_night"} <= set(CONDITIONS)
    assert {"glare", "over_exposure", "under_exposure", "motion_blur", "lens_dirt"} <= set(CONDITIONS)


def test_clear_changes_nothing():
    parameters, weather = CLEAR.draw(5)
    assert weather == CALM
    for field in dataclasses.fields(parameters):
        expected = getattr(SceneParameters.from_seed(5), field.name)
        np.testing.assert_array_equal(getattr(parameters, field.name), expected)


def test_weather_is_drawn_by_seed_within_its_ranges():
    rain = find_condition("rain")
    drawn = [rain.draw(seed)[1] for seed in range(20)]
    assert drawn == [rain.draw(seed)[1] for seed in range(20)]
    assert len({weather.rain for weather in drawn}) == 20
    assert all(0.6 <= weather.rain <= 1.0 for weather in drawn)


def test_names_are_parsed_and_unknown_ones_refused():
    assert parse_conditions("fog, night") == ("fog", "night")
    assert parse_conditions("all") == tuple(CONDITIONS)
    with pytest.raises(SsmaError, match="'hail', expected one of clear, summer"):
        parse_conditions("fog,hail")
    with pytest.raises(SsmaError, match="expected names"):
        parse_conditions(" , ")
    with pytest.raises(SsmaError, match="hail"):
        DatasetRecipe("train", 0, 1, 1, ("hail",))


def test_worlds_take_conditions_in_turn():
    recipe = DatasetRecipe("train", 0, 5, 1, ("fog", "night"))
    assert [recipe.condition(index).name for index in range(5)] == ["fog", "night", "fog", "night", "fog"]


def test_fog_hides_the_distance_in_colour_more_than_in_infrared(renderer, rig, captured):
    lifted, fog = capture(renderer, rig, "fog", fog=(0.0, 0.0)), capture(renderer, rig, "fog")
    for sample in (captured[0].sample, lifted):
        np.testing.assert_array_equal(fog.label, sample.label)
        np.testing.assert_array_equal(fog.true_depth, sample.true_depth)
    assert np.mean(fog.depth == 0) > 2 * np.mean(lifted.depth == 0)
    # Nearer there is little fog; farther the fog's own brightness is all that varies.
    far = (lifted.true_depth > 4) & (lifted.true_depth < 10)

    def kept(name: str) -> float:
        """Share of the far picture's contrast that the fog leaves."""
        contrast = []
        for sample in (fog, lifted):
            picture = getattr(sample, name).astype(float)
            picture = picture if picture.ndim == 2 else picture.mean(axis=2)
            grey = cv2.GaussianBlur(picture, (0, 0), 2.0)[far]  # what is left must not be the sensor's noise
            contrast.append(grey.std() / grey.mean())
        return contrast[0] / contrast[1]

    assert kept("color") < 0.6
    assert kept("color") < kept("nir")


def test_night_is_dark_beyond_the_lamp_and_snow_is_white(renderer, rig, captured):
    clear = captured[0].sample
    night = capture(renderer, rig, "night")
    sky = clear.label == ForestClass.SKY
    assert night.color[sky].mean() < 0.5 * clear.color[sky].mean()
    near, far = ((night.true_depth > low) & (night.true_depth < high) for low, high in ((2, 4), (20, 60)))
    assert night.nir[near].mean() > 1.3 * night.nir[far].mean()
    snow = capture(renderer, rig, "winter")
    grass = [sample.color[sample.label == ForestClass.GRASS].astype(float) for sample in (clear, snow)]
    saturation = [np.median(np.ptp(pixels, axis=1) / pixels.max(axis=1).clip(1)) for pixels in grass]
    assert saturation[1] < 0.5 * saturation[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CONDITIONS if name not in ("clear", "fog", "night", "winter")])
def test_every_condition_renders_the_same_world(renderer, rig, captured, name: str):
    clear, sample = captured[0].sample, capture(renderer, rig, name)
    if CONDITIONS[name].season != "winter":  # winter takes the leaves off the trees
        np.testing.assert_array_equal(sample.label, clear.label)
    assert not np.array_equal(sample.color, clear.color)
    assert 5 < sample.color.mean() < 250
    assert np.mean(sample.depth == 0) < 0.95


def lens(rig, weather: Weather, seed: int = 0) -> Lens:
    light = Light.of(SceneParameters.from_seed(1), weather)
    return Lens(weather, light, rig.intrinsics, np.random.default_rng(seed))


def look(glass: Lens, radiance: np.ndarray, seed: int = 0) -> np.ndarray:
    sky = np.ones(radiance.shape[:2], bool)
    return glass.look(radiance, sky, Pose.looking(np.zeros(3), 0.0, 0.0), 0.0, np.random.default_rng(seed))


@pytest.fixture
def pattern() -> np.ndarray:
    return np.random.default_rng(0).random((384, 768, 4)).astype(np.float32)


def test_a_calm_lens_is_clear_glass(rig, pattern):
    assert look(lens(rig, CALM), pattern) is pattern


def test_motion_blurs_along_the_motion_and_keeps_the_light(rig):
    point = np.zeros((384, 768, 4), np.float32)
    point[200, 300] = 1.0
    blurred = look(lens(rig, Weather(motion=11.0)), point)
    assert blurred.sum() == pytest.approx(4.0, rel=1e-4)
    rows, columns = np.nonzero(blurred[..., 0] > 1e-4)
    assert set(rows) == {200}
    assert np.ptp(columns) + 1 == pytest.approx(11, abs=2)
    assert columns.mean() == pytest.approx(300, abs=0.5)


@pytest.mark.parametrize("weather", [Weather(drops=0.8), Weather(dirt=0.8)])
def test_drops_and_dirt_stay_on_their_lens(rig, pattern, weather: Weather):
    left, right = lens(rig, weather, 0), lens(rig, weather, 1)
    first = look(left, pattern, 0)
    np.testing.assert_array_equal(first, look(left, pattern, 1))
    touched = [np.abs(look(eye, pattern) - pattern).max(axis=2) > 0.05 for eye in (left, right)]
    assert 0.01 < touched[0].mean() < 0.9
    assert (touched[0] & touched[1]).mean() < 0.8 * touched[0].mean()


def test_rain_falls_anew_in_every_frame(rig, pattern):
    glass = lens(rig, Weather(rain=0.8))
    assert not np.array_equal(look(glass, pattern, 0), look(glass, pattern, 1))
