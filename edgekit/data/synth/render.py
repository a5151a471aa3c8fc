"""One frame of a flight: warp the ground, put the actors on it, then what stands above them, then the sensor."""

import math
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np

from edgekit.data.synth import figures, sprites, structures
from edgekit.data.synth.actors import ActorState, Cast, cast_for
from edgekit.data.synth.camera import Camera
from edgekit.data.synth.figures import Patch
from edgekit.data.synth.ground import PIXELS_PER_M, Ground, paint
from edgekit.data.synth.layout import WORLD_M, Layout, Tree, layout_for
from edgekit.data.synth.noise import random_for
from edgekit.data.synth.palette import Weather, weather_for

_POOL = {"car": 40, "truck": 12, "boat": 10, "person": 64, "bicycle": 32, "tree": 14}
_SPRITES = {"car": sprites.car, "truck": sprites.truck, "boat": sprites.boat}
_RUNNING_MPS = 0.5
_SHADOW = 0.52


class Drawn(NamedTuple):
    """A frame before the sensor, and what is where.

    Attributes:
        bgr: (H, W, 3) uint8.
        heat: (H, W) uint8.
        ids: (H, W) uint16, 0 where no actor shows, otherwise its place in `rows` plus 1.
        rows: which actor each id is.
        whole_px: pixels that each would cover with nothing in front and no image border.
        state: where all actors are.
    """

    bgr: np.ndarray
    heat: np.ndarray
    ids: np.ndarray
    rows: List[int]
    whole_px: List[int]
    boxes: List[Tuple[int, int, int, int]]
    state: ActorState


class Scene:
    """A world with its people, ready to be looked at from any pose at any time."""

    def __init__(self, seed: int, classes: Sequence[str]) -> None:
        self.layout = layout_for(seed)
        self.weather = weather_for(random_for(seed, "weather"))
        self.cast: Cast = cast_for(self.layout, classes)
        ground = paint(self.layout, self.weather)
        self._maps = [(ground.bgr, ground.heat)]
        for _ in range(2):
            bgr, heat = self._maps[-1]
            self._maps.append((cv2.pyrDown(bgr), cv2.pyrDown(heat)))
        self._light = ground.light
        self._sun = np.array(self.layout.sun_per_metre)
        self._solids = [
            structures.solid_for(b, seed, self.layout.sun_per_metre, self.weather) for b in self.layout.buildings
        ]
        self._trees = np.array([(t.x_m, t.y_m) for t in self.layout.trees]).reshape(-1, 2)
        self._pool: Dict[Tuple[str, int, bool], sprites.Sprite] = {}
        self._glow = {"sunny": 232, "night": 246, "overcast": 238}[self.weather.name]

    def draw(self, camera: Camera, t_s: float, size: Tuple[int, int]) -> Drawn:
        """Draw the scene for an image of `size` (width, height)."""
        bgr, heat = self._warp_ground(camera, size)
        ids = np.zeros((size[1], size[0]), np.uint16)
        state = self.cast.at(t_s)
        visible = _in_view(camera, state.xy_m, size, 60.0)
        patches = [self._patch(camera, state, row, t_s) for row in visible]
        for row in visible:
            self._cast_shadow(camera, bgr, state, row)
        rows, whole, boxes = [], [], []
        for row, patch in zip(visible, patches):
            solid = patch.bgra[:, :, 3] > 127
            total = int(np.count_nonzero(solid))
            box = _paste(bgr, heat, patch)
            if box is None or total == 0:
                continue
            rows.append(int(row))
            whole.append(total)
            boxes.append(box)
            _mark(ids, patch, solid, box, len(rows))
        self._raise_above(camera, bgr, heat, ids, size)
        return Drawn(bgr, heat, ids, rows, whole, boxes, state)

    def _warp_ground(self, camera: Camera, size: Tuple[int, int]) -> Tuple[np.ndarray, np.ndarray]:
        pose = camera.pose
        scale = camera.pixels_per_metre(pose.look_x_m, pose.look_y_m) / PIXELS_PER_M
        level = 0 if scale > 0.6 else (1 if scale > 0.3 else 2)
        per_metre = PIXELS_PER_M / float(1 << level)
        shrink = np.array([1.0 / per_metre, 1.0 / per_metre, 1.0])
        warp = camera.plane() * shrink[None, :]
        flags = cv2.INTER_LINEAR
        bgr, heat = (
            cv2.warpPerspective(layer, warp, size, flags=flags, borderMode=cv2.BORDER_REFLECT_101)
            for layer in self._maps[level]
        )
        return bgr, heat

    def _light_at(self, x_m: float, y_m: float) -> float:
        scale = self._light.shape[0] / WORLD_M
        row = min(max(int(y_m * scale), 0), self._light.shape[0] - 1)
        column = min(max(int(x_m * scale), 0), self._light.shape[1] - 1)
        return 0.25 + 0.75 * float(self._light[row, column]) / 255.0

    def _patch(self, camera: Camera, state: ActorState, row: int, t_s: float) -> Patch:
        kind, style = self.cast.kinds[row], self.cast.styles[row]
        x, y = (float(v) for v in state.xy_m[row])
        heading, speed = float(state.heading_rad[row]), float(state.speed_mps[row])
        light = self._light_at(x, y)
        if kind in _SPRITES:
            sprite = self._sprite(kind, style, speed > _RUNNING_MPS or kind == "boat")
            return _vehicle(sprite, camera, x, y, heading, light)
        rng = random_for(style % _POOL[kind], kind)
        gait = style + (t_s * 7.5 if speed > 0.2 else 0.0)
        if kind == "person":
            strokes = figures.person(rng, gait, self._glow)
        else:
            metal = self.weather.heat["asphalt"] - 45 if self.weather.name == "sunny" else 176
            strokes = figures.bicycle(rng, gait, self._glow, metal, speed > _RUNNING_MPS)
        return figures.draw(strokes, camera, x, y, heading, light)

    def _sprite(self, kind: str, style: int, running: bool) -> sprites.Sprite:
        key = (kind, style % _POOL[kind], running)
        if key not in self._pool:
            rng = random_for(self.layout.seed, "{} {}".format(kind, key[1]))
            self._pool[key] = _SPRITES[kind](rng, self.weather, running)
        return self._pool[key]

    def _tree_sprite(self, style: int) -> sprites.Sprite:
        key = ("tree", style % _POOL["tree"], False)
        if key not in self._pool:
            rng = random_for(self.layout.seed, "tree {}".format(key[1]))
            self._pool[key] = sprites.tree(rng, self.weather, self.layout.sun_per_metre)
        return self._pool[key]

    def _cast_shadow(self, camera: Camera, bgr: np.ndarray, state: ActorState, row: int) -> None:
        x, y = (float(v) for v in state.xy_m[row])
        if self.weather.name == "overcast" or self._light_at(x, y) < 0.8:
            return
        kind = self.cast.kinds[row]
        if kind in _SPRITES:
            sprite = self._sprite(kind, self.cast.styles[row], state.speed_mps[row] > _RUNNING_MPS or kind == "boat")
            half_l, half_w, tall = sprite.length_m * 0.48, sprite.width_m * 0.48, sprite.height_m * 0.85
        else:
            half_l, half_w, tall = (0.16, 0.2, 1.75) if kind == "person" else (0.8, 0.12, 1.5)
        outline = _rectangle(x, y, float(state.heading_rad[row]), half_l, half_w)
        ground = np.concatenate([outline, outline + self._sun * tall])
        _darken(bgr, cv2.convexHull(_ground_pixels(camera, ground).astype(np.float32))[:, 0])

    def _raise_above(
        self, camera: Camera, bgr: np.ndarray, heat: np.ndarray, ids: np.ndarray, size: Tuple[int, int]
    ) -> None:
        """Trees and buildings, the farthest from the camera first."""
        trees: List[Tree] = [self.layout.trees[k] for k in _in_view(camera, self._trees, size, 60.0)]
        here = camera.position[:2]
        standing: List[Tuple[float, object]] = [(math.hypot(t.x_m - here[0], t.y_m - here[1]), t) for t in trees] + [
            (math.hypot(s.centre[0] - here[0], s.centre[1] - here[1]), s) for s in self._solids
        ]
        for _, thing in sorted(standing, key=lambda pair: -pair[0]):
            if isinstance(thing, Tree):
                patch = _crown(self._tree_sprite(thing.style), camera, thing)
                box = _paste(bgr, heat, patch)
                if box is not None:
                    _mark(ids, patch, patch.bgra[:, :, 3] > 127, box, 0)
            elif isinstance(thing, structures.Solid):
                structures.draw(thing, camera, bgr, heat, ids)


def _in_view(camera: Camera, xy_m: np.ndarray, size: Tuple[int, int], margin_px: float) -> np.ndarray:
    """Rows whose ground point falls in the image or within `margin_px` of it."""
    if len(xy_m) == 0:
        return np.zeros(0, np.int64)
    pixels = _ground_pixels(camera, xy_m)
    inside = (pixels > -margin_px).all(axis=1) & (pixels < np.array(size) + margin_px).all(axis=1)
    return np.flatnonzero(inside)


def _ground_pixels(camera: Camera, xy_m: np.ndarray) -> np.ndarray:
    return camera.project(np.column_stack([xy_m, np.zeros(len(xy_m))]))


def _rectangle(x_m: float, y_m: float, heading: float, half_l: float, half_w: float) -> np.ndarray:
    c, s = math.cos(heading), math.sin(heading)
    forward, right = np.array([c, s]) * half_l, np.array([-s, c]) * half_w
    middle = np.array([x_m, y_m])
    return np.stack(
        [middle + forward + right, middle + forward - right, middle - forward - right, middle - forward + right]
    )


def _darken(bgr: np.ndarray, outline: np.ndarray) -> None:
    height, width = bgr.shape[:2]
    x0, y0 = np.maximum(np.floor(outline.min(axis=0)).astype(int) - 2, 0)
    x1, y1 = np.minimum(np.ceil(outline.max(axis=0)).astype(int) + 3, [width, height])
    if x1 <= x0 or y1 <= y0:
        return
    shade = np.full((y1 - y0, x1 - x0), 255, np.uint8)
    cv2.fillConvexPoly(shade, np.rint((outline - [x0, y0]) * 16.0).astype(np.int32), int(255 * _SHADOW), cv2.LINE_AA, 4)
    part = bgr[y0:y1, x0:x1]
    part[:] = cv2.multiply(part, cv2.merge([shade] * 3), scale=1.0 / 255.0)


def _vehicle(sprite: sprites.Sprite, camera: Camera, x_m: float, y_m: float, heading: float, light: float) -> Patch:
    """The sides as a hull from the ground to the roof, and the picture on top of it."""
    low = _bevelled(x_m, y_m, heading, sprite.length_m * 0.5, sprite.width_m * 0.5)
    hull = camera.project(
        np.concatenate([np.column_stack([low, np.full(8, 0.15)]), np.column_stack([low, np.full(8, sprite.base_m)])])
    )
    left, top = np.floor(hull.min(axis=0)).astype(int) - 3
    right, bottom = np.ceil(hull.max(axis=0)).astype(int) + 4
    size = (int(right - left), int(bottom - top))
    bgra, heat = _warp_sprite(sprite, camera, (x_m, y_m, sprite.base_m), heading, 1.0, (int(left), int(top)), size)
    under: np.ndarray = np.zeros((size[1], size[0]), np.uint8)
    outline = cv2.convexHull((hull - [left, top]).astype(np.float32))[:, 0]
    cv2.fillConvexPoly(under, np.rint(outline * 16.0).astype(np.int32), 255, cv2.LINE_AA, 4)
    under = cv2.multiply(under, cv2.bitwise_not(cv2.extractChannel(bgra, 3)), scale=1.0 / 255.0)
    side = cv2.merge([cv2.convertScaleAbs(under, alpha=c / 255.0) for c in sprite.side] + [under])
    bgra = cv2.add(bgra, side)
    heat = cv2.add(heat, cv2.convertScaleAbs(under, alpha=sprite.side_heat / 255.0))
    if light < 0.99:
        blue, green, red, alpha = cv2.split(bgra)
        bgra = cv2.merge([cv2.convertScaleAbs(c, alpha=light) for c in (blue, green, red)] + [alpha])
    return Patch(int(left), int(top), bgra, heat)


def _bevelled(x_m: float, y_m: float, heading: float, half_l: float, half_w: float) -> np.ndarray:
    cut = 0.35
    local = np.array([
        (half_l, half_w - cut), (half_l - cut, half_w), (cut - half_l, half_w), (-half_l, half_w - cut),
        (-half_l, cut - half_w), (cut - half_l, -half_w), (half_l - cut, -half_w), (half_l, cut - half_w),
    ])  # fmt: skip
    c, s = math.cos(heading), math.sin(heading)
    return local @ np.array([[c, s], [-s, c]]) + [x_m, y_m]


def _warp_sprite(
    sprite: sprites.Sprite,
    camera: Camera,
    at: Tuple[float, float, float],
    heading: float,
    scale: float,
    corner: Tuple[int, int],
    size: Tuple[int, int],
) -> Tuple[np.ndarray, np.ndarray]:
    """The sprite in its plane, by the projection's local affine part."""
    c, s = math.cos(heading), math.sin(heading)
    x, y, z = at
    origin, ahead, beside = camera.project(np.array([[x, y, z], [x + c, y + s, z], [x - s, y + c, z]]))
    shrink = scale * math.hypot(ahead[0] - origin[0], ahead[1] - origin[1]) / sprites.SPRITE_PX_PER_M
    level = 0 if shrink > 0.55 else (1 if shrink > 0.275 else 2)
    bgra, heat = sprite.levels[level]
    per_px = scale * float(1 << level) / sprites.SPRITE_PX_PER_M
    warp = np.empty((2, 3))
    warp[:, 0], warp[:, 1] = (ahead - origin) * per_px, (beside - origin) * per_px
    middle = np.array([bgra.shape[1] - 1.0, bgra.shape[0] - 1.0]) / 2.0
    warp[:, 2] = origin - np.array(corner) - warp[:, :2] @ middle
    flags = cv2.INTER_LINEAR
    return cv2.warpAffine(bgra, warp, size, flags=flags), cv2.warpAffine(heat, warp, size, flags=flags)


def _crown(sprite: sprites.Sprite, camera: Camera, tree: Tree) -> Patch:
    at = (tree.x_m, tree.y_m, tree.height_m * 0.6)
    middle = camera.project(np.array([at]))[0]
    reach = int(tree.radius_m * 1.2 * camera.focal_px / max(camera.pose.altitude_m - at[2], 1.0)) + 2
    left, top = int(middle[0]) - reach, int(middle[1]) - reach
    size = (2 * reach + 1, 2 * reach + 1)
    # All crowns share one lighting, so they are not turned; styles differ instead.
    bgra, heat = _warp_sprite(sprite, camera, at, 0.0, tree.radius_m, (left, top), size)
    return Patch(left, top, bgra, heat)


def _paste(bgr: np.ndarray, heat: np.ndarray, patch: Patch) -> Optional[Tuple[int, int, int, int]]:
    """Blend the part of the patch inside the image; its box there, or None."""
    height, width = heat.shape
    rows, columns = patch.heat.shape
    x0, y0 = max(patch.x, 0), max(patch.y, 0)
    x1, y1 = min(patch.x + columns, width), min(patch.y + rows, height)
    if x1 <= x0 or y1 <= y0:
        return None
    inner = np.s_[y0 - patch.y : y1 - patch.y, x0 - patch.x : x1 - patch.x]
    bgra = patch.bgra[inner]
    around = cv2.bitwise_not(cv2.extractChannel(bgra, 3))
    part = bgr[y0:y1, x0:x1]
    part[:] = cv2.add(
        cv2.multiply(part, cv2.merge([around] * 3), scale=1.0 / 255.0), cv2.cvtColor(bgra, cv2.COLOR_BGRA2BGR)
    )
    part = heat[y0:y1, x0:x1]
    part[:] = cv2.add(cv2.multiply(part, around, scale=1.0 / 255.0), patch.heat[inner])
    return x0, y0, x1, y1


def _mark(ids: np.ndarray, patch: Patch, solid: np.ndarray, box: Tuple[int, int, int, int], value: int) -> None:
    x0, y0, x1, y1 = box
    part = ids[y0:y1, x0:x1]
    part[solid[y0 - patch.y : y1 - patch.y, x0 - patch.x : x1 - patch.x]] = value


__all__ = ["Drawn", "Scene", "Ground", "Layout", "Weather"]
