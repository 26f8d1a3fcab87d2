# SPDX-License-Identifier: Apache-2.0
"""MuJoCo passes over a world: flat albedo, metric depth and geom ids from any pinhole or sun camera."""

from __future__ import annotations

import atexit
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssma_ros.frame import Camera, Intrinsics
from ssma_ros.synthetic.gl import create_context, load_mujoco
from ssma_ros.synthetic.materials import Material
from ssma_ros.synthetic.noise import FloatImage
from ssma_ros.synthetic.world import World

NEAR, FAR = 0.1, 400.0
#: Plants farther than this many metres are drawn with fewer triangles.
DETAIL_DISTANCE = 14.0
#: Side of the square off-screen buffer, and of the sun's shadow map, in pixels.
BUFFER = 2048


@dataclass(frozen=True)
class Pose:
    """An optical frame in the world.

    Attributes:
        position: (3,) metres.
        rotation: 3×3, columns are the optical axes x (right), y (down), z (forward) in world coordinates.
    """

    position: NDArray[np.float64]
    rotation: NDArray[np.float64]

    @classmethod
    def looking(cls, position: NDArray, heading: float, pitch: float, roll: float = 0.0) -> Pose:
        """A camera at ``position`` with heading from the x axis, pitch downwards and roll clockwise, in radians."""
        forward = np.array([np.cos(heading) * np.cos(pitch), np.sin(heading) * np.cos(pitch), -np.sin(pitch)])
        right = np.array([np.sin(heading), -np.cos(heading), 0.0])
        down = np.cross(forward, right)
        turned_right = np.cos(roll) * right + np.sin(roll) * down
        turned_down = -np.sin(roll) * right + np.cos(roll) * down
        return cls(np.asarray(position, float), np.stack([turned_right, turned_down, forward], 1))

    def beside(self, camera: Camera) -> Pose:
        """The optical frame of a camera that is mounted to this one."""
        return Pose(self.position + self.rotation @ np.asarray(camera.translation), self.rotation @ camera.rotation)

    def shifted_right(self, metres: float) -> Pose:
        """The same orientation, moved along the optical x axis (the second eye of a stereo pair)."""
        return Pose(self.position + metres * self.rotation[:, 0], self.rotation)


@dataclass(frozen=True)
class GeometryBuffer:
    """What one view sees.

    Attributes:
        albedo: H×W×3 uint8 sRGB in RGB order; meaningless on terrain and where nothing is.
        depth: H×W float32 z-depth in metres, 0 where nothing is.
        geom: H×W int16 geom ids, −1 where nothing is.
    """

    albedo: NDArray[np.uint8]
    depth: FloatImage
    geom: NDArray[np.int16]


class Renderer:
    """Renders one world after another in one OpenGL context. Not thread-safe; one per process."""

    def __init__(self) -> None:
        self._mujoco = load_mujoco()
        self._gl = create_context(BUFFER, BUFFER)
        self._context: Any = None
        self._scene: Any = None
        self._world: World | None = None
        self._data: Any = None
        self._bounds: tuple[NDArray[np.float64], NDArray[np.float64]]
        # OpenGL must be let go before the interpreter takes its modules apart.
        atexit.register(self.close)

    def close(self) -> None:
        """Frees OpenGL's resources."""
        if self._context is not None:
            self._context.free()
            self._context = None
        if self._gl is not None:
            self._gl.free()
            self._gl = None
        atexit.unregister(self.close)

    def __enter__(self) -> Renderer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def load(self, world: World) -> None:
        """Uploads a world; later views show it."""
        mujoco = self._mujoco
        self._gl.make_current()
        if self._context is not None:
            self._context.free()
        self._context = mujoco.MjrContext(world.model, mujoco.mjtFontScale.mjFONTSCALE_50)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._context.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
        self._world, self._data = world, mujoco.MjData(world.model)
        mujoco.mj_forward(world.model, self._data)
        radius = np.where(world.geom_material == Material.TERRAIN, np.inf, world.model.geom_rbound)
        self._bounds = self._data.geom_xpos.copy(), radius
        self._scene = mujoco.MjvScene(world.model, world.model.ngeom + 16)
        flags = mujoco.mjtRndFlag
        for flag in (flags.mjRND_SHADOW, flags.mjRND_REFLECTION, flags.mjRND_SKYBOX, flags.mjRND_CULL_FACE):
            self._scene.flags[flag] = 0

    def view(self, pose: Pose, intrinsics: Intrinsics) -> GeometryBuffer:
        """Renders what a pinhole camera sees.

        Raises:
            ValueError: the principal point is not the image's centre ((W−1)/2, (H−1)/2).
        """
        k = intrinsics
        if abs(k.cx - (k.width - 1) / 2) > 1e-6 or abs(k.cy - (k.height - 1) / 2) > 1e-6:
            raise ValueError(f"renderer: principal point is ({k.cx}, {k.cy}), expected the image's centre")
        half = (NEAR * 0.5 * k.width / k.fx, NEAR * 0.5 * k.height / k.fy)
        self._show(self._in_view(pose, half))
        self._aim(pose, half, NEAR, FAR, orthographic=False)
        self._draw(k.width, k.height, segmentation=False)
        rgb, window = self._read_color(k.width, k.height), self._read_depth(k.width, k.height)
        depth = 1.0 / (window.astype(np.float64) * (1 / NEAR - 1 / FAR) + 1 / FAR)
        self._draw(k.width, k.height, segmentation=True)
        geom = self._geom_ids(self._read_color(k.width, k.height))
        depth[geom < 0] = 0.0
        return GeometryBuffer(rgb, depth.astype(np.float32), geom)

    def sun_depth(self, pose: Pose, half_width: float, near: float, far: float) -> FloatImage:
        """Distance along the optical axis of an orthographic square view, BUFFER × BUFFER float32 metres."""
        self._show(self._loaded().geom_level <= 0)
        self._aim(pose, (half_width, half_width), near, far, orthographic=True)
        self._draw(BUFFER, BUFFER, segmentation=True)
        window = self._read_depth(BUFFER, BUFFER)
        return (far - window * (far - near)).astype(np.float32)

    def _loaded(self) -> World:
        if self._world is None:
            raise RuntimeError("renderer: no world loaded, expected load() before a view")
        return self._world

    def _in_view(self, pose: Pose, half: tuple[float, float]) -> NDArray[np.bool_]:
        """Geoms whose bounding sphere meets the viewing pyramid; MuJoCo would draw the others too."""
        position, radius = self._bounds
        local = (position - pose.position) @ pose.rotation
        inside = local[:, 2] > -radius
        for axis in (0, 1):
            slope = half[axis] / NEAR
            inside &= np.abs(local[:, axis]) - slope * local[:, 2] < radius * np.hypot(1.0, slope)
        level = self._loaded().geom_level
        far = np.hypot(position[:, 0] - pose.position[0], position[:, 1] - pose.position[1]) > DETAIL_DISTANCE
        return np.asarray(inside & ((level < 0) | (level == far)))

    def _show(self, visible: NDArray[np.bool_]) -> None:
        """Fills the scene with the chosen geoms (MuJoCo leaves out what is fully transparent)."""
        mujoco, world = self._mujoco, self._loaded()
        world.model.geom_rgba[:, 3] = visible
        mujoco.mjv_updateScene(
            world.model,
            self._data,
            mujoco.MjvOption(),
            None,
            mujoco.MjvCamera(),
            mujoco.mjtCatBit.mjCAT_ALL,
            self._scene,
        )

    def _aim(self, pose: Pose, half: tuple[float, float], near: float, far: float, orthographic: bool) -> None:
        for camera in self._scene.camera:
            camera.pos = pose.position
            camera.forward = pose.rotation[:, 2]
            camera.up = -pose.rotation[:, 1]
            camera.orthographic = int(orthographic)
            camera.frustum_center, camera.frustum_width = 0.0, half[0]
            camera.frustum_bottom, camera.frustum_top = -half[1], half[1]
            camera.frustum_near, camera.frustum_far = near, far

    def _draw(self, width: int, height: int, segmentation: bool) -> None:
        mujoco, flags = self._mujoco, self._mujoco.mjtRndFlag
        self._scene.flags[flags.mjRND_SEGMENT] = int(segmentation)
        self._scene.flags[flags.mjRND_IDCOLOR] = int(segmentation)
        mujoco.mjr_render(mujoco.MjrRect(0, 0, width, height), self._scene, self._context)

    def _read_color(self, width: int, height: int) -> NDArray[np.uint8]:
        pixels = np.empty((height, width, 3), np.uint8)
        self._mujoco.mjr_readPixels(pixels, None, self._mujoco.MjrRect(0, 0, width, height), self._context)
        return np.ascontiguousarray(pixels[::-1])  # OpenGL's first row is the lowest

    def _read_depth(self, width: int, height: int) -> FloatImage:
        depth = np.empty((height, width), np.float32)
        self._mujoco.mjr_readPixels(None, depth, self._mujoco.MjrRect(0, 0, width, height), self._context)
        return np.ascontiguousarray(depth[::-1])

    def _geom_ids(self, ids: NDArray[np.uint8]) -> NDArray[np.int16]:
        code = ids[..., 0].astype(np.int32) + 256 * ids[..., 1].astype(np.int32) + 65536 * ids[..., 2].astype(np.int32)
        table = np.full(self._scene.ngeom + 1, -1, np.int16)
        for geom in self._scene.geoms[: self._scene.ngeom]:
            if geom.segid >= 0:
                table[geom.segid + 1] = geom.objid
        return table[code]
