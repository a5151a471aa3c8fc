"""One frame of a flight: warp the ground, put the actors on it, then what stands above them."""

import math
from typing import List, NamedTuple, Sequence, Tuple, Union

import cv2
import numpy as np

from edgekit.data.synth import figures, forest, sprites, structures, vehicles
from edgekit.data.synth.actors import ActorState, cast_for
from edgekit.data.synth.camera import Camera
from edgekit.data.synth.canvas import PIXELS_PER_M
from edgekit.data.synth.compose import Box, Patch, fixed, mark, paste
from edgekit.data.synth.ground import paint
from edgekit.data.synth.hidden import BOTH, INFRARED, seen_by, veiled
from edgekit.data.synth.layout import bridges, layout_for
from edgekit.data.synth.noise import fractal, random_for
from edgekit.data.synth.palette import weather_for
from edgekit.data.synth.shapes import WORLD_M, Tree
from edgekit.data.synth.wardrobe import RUNNING_MPS, SPRITE_KINDS, Wardrobe

_SHADOW = 132
_ACTOR_REACH_M = 4.5
_TREE_REACH_M = 8.0
_GRIT_PX_PER_M = 24
_GRIT_FROM = 1.2
_STERN_M = 1.6


class Drawn(NamedTuple):
    """A frame before the sensor, and what is where.

    Attributes:
        canvas: (H, W, 4) uint8: blue, green, red, heat.
        ids: (H, W) uint16, 0 where no actor shows, otherwise its place in `rows` plus 1.
        rows: which actor each id is.
        whole_px: pixels that each would cover with nothing in front and no image border.
        boxes: where each was drawn, with some margin.
        state: where all actors are.
        seen: which camera sees each actor, see `hidden`.
    """

    canvas: np.ndarray
    ids: np.ndarray
    rows: List[int]
    whole_px: List[int]
    boxes: List[Box]
    state: ActorState
    seen: np.ndarray


class Scene:
    """A world with its people, ready to be looked at from any pose at any time."""

    def __init__(self, seed: int, classes: Sequence[str]) -> None:
        self.layout = layout_for(seed)
        self.weather = weather_for(random_for(seed, "weather"))
        self.cast = cast_for(self.layout, classes)
        self._wardrobe = Wardrobe(seed, self.weather, self.layout.sun_per_metre)
        ground = paint(self.layout, self.weather)
        forest.plant(ground.bgrh, self.layout, self._wardrobe)
        half = cv2.pyrDown(ground.bgrh)
        self._maps = (ground.bgrh, half, cv2.pyrDown(half))
        self._light = ground.light
        sun_x, sun_y = self.layout.sun_per_metre
        self._sunward_rad, self._shadow_m = math.atan2(sun_y, sun_x), math.hypot(sun_x, sun_y)
        self._solids = [structures.solid_for(b, self.layout, self.weather) for b in self.layout.buildings]
        self._grit = fractal(random_for(seed, "grit"), 1024, (12, 6, 3, 2, 1), 0.95)
        self._bridges = [_on_ground(deck) for deck in bridges(self.layout)]
        self._trees = np.array([(t.x_m, t.y_m) for t in self.layout.trees]).reshape(-1, 2)
        self._boats = np.array([kind == "boat" for kind in self.cast.kinds], bool)

    def draw(self, camera: Camera, t_s: float, size: Tuple[int, int], one_camera: float = 0.0) -> Drawn:
        """Draw the scene for an image of `size` (width, height).

        Args:
            camera: from where.
            t_s: when.
            size: width and height, pixels.
            one_camera: share of the actors that only one camera sees.
        """
        canvas = self._warp_ground(camera, size)
        seen = seen_by(self.layout.seed, len(self.cast), one_camera)
        drawn = Drawn(canvas, np.zeros((size[1], size[0]), np.uint16), [], [], [], self.cast.at(t_s), seen)
        visible = _in_view(camera, drawn.state.xy_m, size, _ACTOR_REACH_M)
        afloat = self._boats[visible]
        self._put_boats(camera, drawn, visible[afloat])
        self._put_actors(camera, drawn, visible[~afloat], t_s)
        self._raise_above(camera, drawn, size)
        return drawn

    def _warp_ground(self, camera: Camera, size: Tuple[int, int]) -> np.ndarray:
        scale = camera.pixels_per_metre(camera.pose.look_x_m, camera.pose.look_y_m) / PIXELS_PER_M
        level = 0 if scale > 0.6 else (1 if scale > 0.3 else 2)
        metres = float(1 << level) / PIXELS_PER_M
        warp = camera.plane() * np.array([metres, metres, 1.0])
        canvas = cv2.warpPerspective(self._maps[level], warp, size, borderMode=cv2.BORDER_REFLECT_101)
        if scale <= _GRIT_FROM:
            return canvas
        return _with_grit(canvas, camera, self._grit, min((scale - _GRIT_FROM) / 0.6, 1.0))

    def _light_at(self, xy_m: np.ndarray) -> np.ndarray:
        """How much light falls on points (N, 2): 1 in the sun."""
        place = (xy_m * (self._light.shape[0] / WORLD_M)).astype(np.int64)
        x, y = np.clip(place, 0, self._light.shape[0] - 1).T
        return 0.25 + 0.75 * self._light[y, x] / 255.0

    def _put_boats(self, camera: Camera, drawn: Drawn, rows: np.ndarray) -> None:
        """Boats and their wakes, then the bridges over them again."""
        if len(rows) == 0:
            return
        before = drawn.canvas.copy()
        origins, frames = camera.anchors(drawn.state.xy_m[rows], drawn.state.heading_rad[rows])
        wake = self._wardrobe.wake()
        for row, origin, frame in zip(rows, origins, frames):
            if drawn.seen[row] != BOTH:
                continue  # the wake would tell where it is
            paste(drawn.canvas, vehicles.flat(wake, origin - _STERN_M * frame[0], frame, 1.0, sprites.WAKE_M * 1.2))
        for row, origin, frame in zip(rows, origins, frames):
            sprite = self._wardrobe.sprite("boat", self.cast.styles[row], True)
            _put(drawn, row, vehicles.draw(sprite, origin, frame, 1.0))
        for deck in self._bridges:
            if camera.sees(deck).all():
                _restore(drawn, before, camera.project(deck))

    def _put_actors(self, camera: Camera, drawn: Drawn, rows: np.ndarray, t_s: float) -> None:
        state = drawn.state
        origins, frames = camera.anchors(state.xy_m[rows], state.heading_rad[rows])
        lights = self._light_at(state.xy_m[rows])
        self._cast_shadows(camera, drawn, rows[(lights > 0.8) & (drawn.seen[rows] != INFRARED)])
        for row, origin, frame, light in zip(rows, origins, frames, lights.tolist()):
            _put(drawn, row, self._patch(row, float(state.speed_mps[row]), origin, frame, light, t_s))

    def _patch(self, row: int, speed: float, origin: np.ndarray, frame: np.ndarray, light: float, t_s: float) -> Patch:
        kind, style = self.cast.kinds[row], self.cast.styles[row]
        if kind in SPRITE_KINDS:
            return vehicles.draw(self._wardrobe.sprite(kind, style, speed > RUNNING_MPS), origin, frame, light)
        figure = self._wardrobe.figure(kind, style, speed, t_s)
        return figures.draw(figure, origin, frame, light)

    def _cast_shadows(self, camera: Camera, drawn: Drawn, rows: np.ndarray) -> None:
        """All actors' shadows in one layer, so that two of them are no darker than one."""
        if self.weather.name == "overcast":
            return
        state = drawn.state
        origins, frames = camera.anchors(state.xy_m[rows], state.heading_rad[rows])
        _, sunward = camera.anchors(state.xy_m[rows], np.full(len(rows), self._sunward_rad))
        full = np.full(drawn.ids.shape, 255, np.uint8)
        shade = full.copy()
        for row, origin, frame, away in zip(rows, origins, frames, sunward):
            running = float(state.speed_mps[row]) > RUNNING_MPS
            outline, tall = self._wardrobe.silhouette(self.cast.kinds[row], self.cast.styles[row], running)
            base = outline @ frame[:2] + origin
            both = fixed(np.concatenate([base, base + away[0] * (tall * self._shadow_m)]))
            cv2.fillConvexPoly(shade, cv2.convexHull(both), (_SHADOW,), cv2.LINE_AA, 4)
        cv2.multiply(drawn.canvas, cv2.merge([shade, shade, shade, full]), dst=drawn.canvas, scale=1.0 / 255.0)

    def _raise_above(self, camera: Camera, drawn: Drawn, size: Tuple[int, int]) -> None:
        """Trees and buildings, the farthest from the camera first."""
        rows = _in_view(camera, self._trees, size, _TREE_REACH_M)
        origins, frames = camera.anchors(self._trees[rows], np.zeros(len(rows)))
        here = camera.position[:2]
        far = np.hypot(*(self._trees[rows] - here).T)
        standing: List[Tuple[float, Union[int, structures.Solid]]] = list(zip(far.tolist(), range(len(rows))))
        standing += [(math.hypot(s.centre[0] - here[0], s.centre[1] - here[1]), s) for s in self._solids]
        for _, thing in sorted(standing, key=lambda pair: -pair[0]):
            if isinstance(thing, structures.Solid):
                structures.draw(thing, camera, drawn.canvas, drawn.ids)
            else:
                patch = self._crown(self.layout.trees[rows[thing]], origins[thing], frames[thing])
                box = paste(drawn.canvas, patch)
                if box is not None:
                    mark(drawn.ids, patch, box, 0)

    def _crown(self, tree: Tree, origin: np.ndarray, frame: np.ndarray) -> Patch:
        # All crowns share one lighting, so they are not turned; styles differ instead.
        middle = origin + tree.height_m * 0.6 * frame[2]
        return vehicles.flat(
            self._wardrobe.sprite("tree", tree.style, False), middle, frame, tree.radius_m, tree.radius_m * 1.2
        )


def _with_grit(canvas: np.ndarray, camera: Camera, grit: np.ndarray, strength: float) -> np.ndarray:
    """Fine grain in the colours, for frames in which the map's pixels would be seen as blur."""
    warp = camera.plane() * np.array([1.0 / _GRIT_PX_PER_M, 1.0 / _GRIT_PX_PER_M, 1.0])
    height, width = canvas.shape[:2]
    grain = cv2.warpPerspective(grit, warp, (width, height), borderMode=cv2.BORDER_WRAP)
    grain = cv2.addWeighted(grain, 0.24 * strength, grain, 0.0, 128.0 * (1.0 - 0.24 * strength))
    still = np.full_like(grain, 128)
    return cv2.multiply(canvas, cv2.merge([grain, grain, grain, still]), scale=1.0 / 128.0)


def _put(drawn: Drawn, row: int, patch: Patch) -> None:
    """Paste an actor where it is seen, and take note of it."""
    with veiled(drawn.canvas, patch, int(drawn.seen[row])):
        box = paste(drawn.canvas, patch)
    whole = cv2.countNonZero(cv2.threshold(patch.alpha, 127, 255, cv2.THRESH_BINARY)[1])
    if box is None or whole == 0:
        return
    drawn.rows.append(int(row))
    drawn.whole_px.append(whole)
    drawn.boxes.append(box)
    mark(drawn.ids, patch, box, len(drawn.rows))


def _restore(drawn: Drawn, before: np.ndarray, outline: np.ndarray) -> None:
    """Put back what was there before inside the outline (N, 2), pixels."""
    height, width = drawn.ids.shape
    x0, y0 = np.maximum(np.floor(outline.min(axis=0)).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(outline.max(axis=0)).astype(int) + 1, [width, height])
    if x1 <= x0 or y1 <= y0:
        return
    cover = np.zeros((y1 - y0, x1 - x0), np.uint8)
    cv2.fillPoly(cover, [fixed(outline - [x0, y0])], (1,), cv2.LINE_8, 4)
    solid, part = cover > 0, np.s_[y0:y1, x0:x1]
    drawn.canvas[part][solid] = before[part][solid]
    drawn.ids[part][solid] = 0


def _in_view(camera: Camera, xy_m: np.ndarray, size: Tuple[int, int], reach_m: float) -> np.ndarray:
    """Rows whose ground point falls in the image or within `reach_m` of it."""
    if len(xy_m) == 0:
        return np.zeros(0, np.int64)
    ground = _on_ground(xy_m)
    pixels = camera.project(ground)
    # The near side of a tilted picture is larger than its middle.
    margin = 1.3 * reach_m * camera.pixels_per_metre(camera.pose.look_x_m, camera.pose.look_y_m)
    inside = (pixels > -margin).all(axis=1) & (pixels < np.array(size) + margin).all(axis=1)
    return np.flatnonzero(inside & camera.sees(ground))


def _on_ground(xy_m: np.ndarray) -> np.ndarray:
    return np.column_stack([xy_m, np.zeros(len(xy_m))])
