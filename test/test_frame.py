# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from ssma_ros.frame import Frame, Intrinsics


def test_resizing_keeps_rays():
    """The ray through an image corner is the same at any size."""
    full = Intrinsics(fx=500.0, fy=510.0, cx=319.5, cy=200.0, width=640, height=480)
    half = full.resized(320, 160)
    for u, v in ((-0.5, -0.5), (639.5, 479.5)):
        x, y = (u - full.cx) / full.fx, (v - full.cy) / full.fy
        u2, v2 = half.fx * x + half.cx, half.fy * y + half.cy
        assert u2 == pytest.approx((u + 0.5) * 0.5 - 0.5)
        assert v2 == pytest.approx((v + 0.5) / 3 - 0.5)
    assert half.matrix()[0, 0] == half.fx


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("fx", 0.0, "fx is 0.0"),
        ("fy", float("nan"), "fy is nan"),
        ("cx", float("inf"), "cx is inf"),
        ("width", 0, "width is 0"),
    ],
)
def test_impossible_intrinsics_are_refused(field, value, message):
    values = {"fx": 1.0, "fy": 1.0, "cx": 0.0, "cy": 0.0, "width": 2, "height": 2, field: value}
    with pytest.raises(ValueError, match=message):
        Intrinsics(**values)


def test_frame_size_names_the_odd_image():
    frame = Frame(0, "camera", color=np.zeros((4, 6, 3), np.uint8), depth=np.zeros((4, 5), np.float32))
    with pytest.raises(ValueError, match="depth is 5x4, expected 6x4 as color is"):
        _ = frame.size
    with pytest.raises(ValueError, match="no image"):
        _ = Frame(0, "camera").size
