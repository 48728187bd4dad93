"""Projection, light and exposure: a body in motion becomes pixels."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np

from runner_reid.practice.body import pose
from runner_reid.practice.figure import FAR_SHOE, NEAR_SHOE, Figure, figure
from runner_reid.practice.world import Passage

CAMERA_UP_M = 3.0
TRACK_M = 17.0
"""How far the middle of the track is from the camera."""
TRACK_SCALE = 0.172
"""Picture heights per metre in the middle of the track: 93 px at 540."""
HORIZON = 0.36
"""Picture heights from the upper edge."""
CHUNK = 8
"""Frames whose outlines are computed at once."""
SUBPIXEL_BITS = 4
WEAVE_PX, WEAVE_MEAN = 700, 200
"""Side of the tile of grain at 540 rows, at least four body heights; its mean."""


Length = TypeVar("Length", float, np.ndarray)


@dataclass(frozen=True)
class View:
    """The picture that the camera takes."""

    width: int
    height: int

    @property
    def unit(self) -> float:
        """Pixels of this picture per pixel of a 540 px high one."""
        return self.height / 540

    @property
    def horizon_px(self) -> float:
        return HORIZON * self.height

    def scale_px(self, depth_m: Length) -> Length:
        """Pixels per metre, `depth_m` from the middle of the track."""
        return TRACK_SCALE * self.height * TRACK_M / (TRACK_M + depth_m)

    def ground_px(self, depth_m: Length) -> Length:
        """The row of the ground, `depth_m` from the middle of the track."""
        return self.horizon_px + CAMERA_UP_M * self.scale_px(depth_m)

    def depth_m(self, row_px: Length) -> Length:
        """The inverse of `ground_px`."""
        return TRACK_SCALE * self.height * TRACK_M * CAMERA_UP_M / (row_px - self.horizon_px) - TRACK_M

    def half_width_m(self, depth_m: float) -> float:
        """Metres from the middle of the picture to its edge."""
        return self.width / 2 / self.scale_px(depth_m)


@dataclass(frozen=True)
class Light:
    """A lighting.

    sun: direction of the light in the picture, x right and y up. shadows: of each light source, how far a
    shadow reaches to the right and away from the camera per height, and how dark it is. exposure_s: of a
    frame. gain, saturation, cast_rgb, lift: how colours are recorded. blur_px: sharpness of the lens at 540
    rows. noise: standard deviation, 0..255. wander, flicker: share by which the whole light changes slowly,
    and fast. balance: by how much of 0..255 the white balance of the camera strays. supersample: sub-pixels of a
    sub-frame per pixel and axis.
    """

    sun: tuple[float, float]
    shadows: tuple[tuple[float, float, float], ...]
    exposure_s: float
    gain: float
    saturation: float
    cast_rgb: tuple[float, float, float]
    lift: float
    blur_px: float
    noise: float
    wander: float
    flicker: float
    balance: float
    supersample: int

    def grade(self, rgb: np.ndarray) -> np.ndarray:
        """(..., 3) colours in daylight, 0..255 -> as recorded in this light."""
        grey = rgb @ np.array([0.30, 0.59, 0.11])
        faded = grey[..., None] + (rgb - grey[..., None]) * self.saturation
        return np.clip(self.lift + faded * self.gain * np.array(self.cast_rgb), 0, 255)


LIGHTS = {
    "day": Light(
        sun=(0.45, 0.75), shadows=((-0.62, -0.16, 0.42),), exposure_s=0.0, gain=1.0, saturation=1.0,
        cast_rgb=(1.0, 1.0, 0.98), lift=0.0, blur_px=0.0, noise=1.0, wander=0.06, flicker=0.0, balance=3.0,
        supersample=3,
    ),
    "night": Light(
        sun=(-0.2, 0.8), shadows=((0.75, -0.12, 0.20), (-0.55, -0.15, 0.22), (0.25, 0.20, 0.15)),
        exposure_s=1 / 60, gain=0.86, saturation=0.55, cast_rgb=(1.07, 0.99, 0.80), lift=13.0, blur_px=0.55,
        noise=1.7, wander=0.03, flicker=0.009, balance=1.0, supersample=2,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Shot:
    """One body in one frame, in a window that may reach beyond the picture.

    x, y: left upper pixel of the window. sprite: (h, w, 4) uint8, BGR times coverage, and coverage, over the
    whole exposure. body: (h, w) bool and label: (h, w) uint8 in the middle of the exposure. shoe_px: area of
    the far and the near shoe if nothing hid them. ground_px: row of the window where the ground is.
    """

    x: int
    y: int
    sprite: np.ndarray
    body: np.ndarray
    label: np.ndarray
    shoe_px: tuple[float, float]
    ground_px: float


def outlines_m(parts: Figure, origin: np.ndarray, angle: np.ndarray, sun: np.ndarray) -> np.ndarray:
    """(N, P, V, 2) outlines of the parts in metres, from (N, B, 2) origins and (N, B) angles of the bones."""
    along = np.stack([np.cos(angle), np.sin(angle)], axis=-1)[:, parts.bone]
    across = np.stack([-along[..., 1], along[..., 0]], axis=-1)
    lit = across @ sun
    base = parts.base[None]
    sideways = base[..., 1] + parts.slope[None] * lit[..., None]
    return (
        origin[:, parts.bone, None, :]
        + base[..., 0, None] * along[:, :, None, :]
        + sideways[..., None] * across[:, :, None, :]
    )


def shots(
    passage: Passage, frames: range, *, fps: int, view: View, light: Light, sub_frames: int
) -> Iterator[Shot | None]:
    """The body of a passage in each of `frames`; None where it is outside the picture."""
    parts = figure(passage.actor)
    colours = [(*map(float, bgr), 255.0) for bgr in light.grade(parts.rgb)[:, ::-1]]
    count = sub_frames if light.exposure_s else 1
    moments_s = (np.arange(count) - (count - 1) / 2) / count * min(light.exposure_s, 0.9 / fps)
    for start in range(frames.start, frames.stop, CHUNK):
        numbers = np.arange(start, min(start + CHUNK, frames.stop))
        time_s = (numbers[:, None] / fps + moments_s).ravel()
        outlines = _outlines_px(passage, parts, time_s, view=view, light=light)
        hips_px = view.width / 2 + view.scale_px(passage.depth_m) * passage.place_m(numbers / fps)
        shape = (len(numbers), count, *outlines.shape[1:])
        for outline, hip_px in zip(outlines.reshape(shape), hips_px, strict=True):
            anchor_px = (float(hip_px), float(view.ground_px(passage.depth_m)))
            yield _shot(outline, parts, colours, anchor_px, view=view, light=light)


def _outlines_px(passage: Passage, parts: Figure, time_s: np.ndarray, *, view: View, light: Light) -> np.ndarray:
    """(N, P, V, 2) outlines in pixels of the picture."""
    sun = np.array([passage.facing * light.sun[0], light.sun[1]])
    origin, angle = pose(
        passage.stride_phase(time_s), time_s, build=passage.actor.build, gait=passage.actor.gait,
        speed_mps=abs(passage.speed_mps),
    )  # fmt: skip
    outlines = outlines_m(parts, origin, angle, sun)
    scale_px, place_m = view.scale_px(passage.depth_m), passage.place_m(time_s)
    x = view.width / 2 + scale_px * (place_m[:, None, None] + passage.facing * outlines[..., 0])
    y = view.ground_px(passage.depth_m) - scale_px * outlines[..., 1]
    return np.stack([x, y], axis=-1)


def _shot(
    outlines: np.ndarray,
    parts: Figure,
    colours: list,
    anchor_px: tuple[float, float],
    *,
    view: View,
    light: Light,
) -> Shot | None:
    """Expose one frame: (S, P, V, 2) outlines of its sub-frames, in pixels.

    anchor_px: the ground under the hips.
    """
    left, upper = np.floor(outlines.min(axis=(0, 1, 2))).astype(int) - 2
    right, lower = np.ceil(outlines.max(axis=(0, 1, 2))).astype(int) + 3
    if right <= 0 or left >= view.width or lower <= 0 or upper >= view.height:
        return None
    width, height, fine = right - left, lower - upper, light.supersample
    points = ((outlines - [left, upper]) * fine - 0.5) * 2**SUBPIXEL_BITS
    points = np.round(points).astype(np.int32)
    total = np.zeros((height * fine, width * fine * 4), np.float32)
    middle = len(points) // 2
    for number, polygons in enumerate(points):
        canvas = np.zeros((height * fine, width * fine, 4), np.uint8)
        for polygon, colour in zip(polygons, colours, strict=True):
            cv2.fillPoly(canvas, [polygon], colour, cv2.LINE_8, SUBPIXEL_BITS)
        cv2.accumulate(canvas.reshape(total.shape), total)
        if number == middle:
            cover = cv2.resize(canvas[..., 3], (width, height), interpolation=cv2.INTER_AREA)
    total = total.reshape(height * fine, width * fine, 4) / len(points)
    sprite = cv2.resize(total, (width, height), interpolation=cv2.INTER_AREA)
    if light.blur_px:
        sprite = cv2.GaussianBlur(sprite, (0, 0), light.blur_px * view.unit)
    label, shoe_px = _labels(points[middle], parts.label, (height, width), fine)
    sprite = cv2.convertScaleAbs(sprite)
    if not light.exposure_s:
        weave = _weave(int(WEAVE_PX * view.unit))
        half = len(weave) // 2
        y, x = round(upper - anchor_px[1]) % half, round(left - anchor_px[0]) % half
        sprite = cv2.multiply(sprite, weave[y : y + height, x : x + width], scale=1 / WEAVE_MEAN)
    return Shot(int(left), int(upper), sprite, cover >= 128, label, shoe_px, anchor_px[1] - float(upper))


@functools.cache
def _weave(size_px: int) -> np.ndarray:
    """(size, size, 4) uint8 grain of cloth and skin, WEAVE_MEAN where it changes nothing."""
    rng = np.random.default_rng(0)
    noise = cv2.GaussianBlur(rng.standard_normal((size_px, size_px)).astype(np.float32), (0, 0), 0.7)
    folds = cv2.GaussianBlur(rng.standard_normal((size_px, size_px)).astype(np.float32), (0, 0), 4.0)
    grain = WEAVE_MEAN * (1 + 0.045 * noise / noise.std() + 0.06 * folds / folds.std())
    alpha = np.full_like(grain, WEAVE_MEAN)
    return np.clip(np.stack([grain, grain, grain, alpha], axis=-1), 0, 255).astype(np.uint8)


def _labels(
    polygons: np.ndarray, labels: np.ndarray, shape: tuple[int, int], fine: int
) -> tuple[np.ndarray, tuple[float, float]]:
    """(h, w) label of what is in front, and the areas of far and near shoe before anything hides them."""
    canvas = np.zeros((shape[0] * fine, shape[1] * fine), np.uint8)
    areas = {FAR_SHOE: 0.0, NEAR_SHOE: 0.0}
    for number, polygon in enumerate(polygons):
        label = int(labels[number])
        cv2.fillPoly(canvas, [polygon], label, cv2.LINE_8, SUBPIXEL_BITS)
        if label in areas and (number + 1 == len(labels) or labels[number + 1] != label):
            areas[label] = np.count_nonzero(canvas == label) / fine**2
    return canvas[fine // 2 :: fine, fine // 2 :: fine], (areas[FAR_SHOE], areas[NEAR_SHOE])


def paint_shadow(picture: np.ndarray, shot: Shot, light: Light, unit: float) -> None:
    """Darken the ground where the body stands between it and the lights."""
    cover, ground = shot.sprite[..., 3], shot.ground_px
    width = cover.shape[1]
    for right, away, dark in light.shadows:
        reach_x, reach_y = right * ground, away * ground
        left, upper = int(min(0, reach_x)) - 4, int(ground - max(0, reach_y)) - 4
        size = (int(width + abs(reach_x)) + 8, int(abs(reach_y)) + 10)
        matrix = np.array([[1, -right, right * ground - left], [0, away, ground - away * ground - upper]])
        shade = cv2.warpAffine(cover, matrix, size, flags=cv2.INTER_LINEAR)
        shade = cv2.GaussianBlur(shade, (0, 0), (1.0 if light.exposure_s == 0 else 2.2) * unit)
        rows, columns, *inner = overlap(shot.x + left, shot.y + upper, shade.shape, picture.shape)
        below, shade = picture[rows, columns], shade[tuple(inner)]
        if shade.size:
            keep = cv2.cvtColor(cv2.convertScaleAbs(shade, alpha=-dark, beta=255), cv2.COLOR_GRAY2BGR)
            cv2.multiply(below, keep, dst=below, scale=1 / 255)


def paint_body(picture: np.ndarray, shot: Shot, lamps: np.ndarray) -> None:
    """Lay the body over the picture. lamps: (H, W, 3) uint8, the share of the light that reaches each
    pixel."""
    rows, columns, *inner = overlap(shot.x, shot.y, shot.sprite.shape, picture.shape)
    below, sprite = picture[rows, columns], shot.sprite[tuple(inner)]
    if not sprite.size:
        return
    shown = cv2.multiply(cv2.cvtColor(sprite, cv2.COLOR_BGRA2BGR), lamps[rows, columns], scale=1 / 255)
    keep = cv2.cvtColor(cv2.bitwise_not(np.ascontiguousarray(sprite[..., 3])), cv2.COLOR_GRAY2BGR)
    cv2.multiply(below, keep, dst=below, scale=1 / 255)
    cv2.add(below, shown, dst=below)


def overlap(x: int, y: int, layer: tuple[int, ...], picture: tuple[int, ...]) -> tuple[slice, slice, slice, slice]:
    """Where a layer at (x, y) meets a picture: rows and columns of the picture, then those of the layer.

    layer, picture: shapes. All four are empty if they do not meet.

    >>> overlap(-2, 3, (4, 5), (6, 9))
    (slice(3, 6, None), slice(0, 3, None), slice(0, 3, None), slice(2, 5, None))
    """
    y1, x1 = min(max(y, 0), picture[0]), min(max(x, 0), picture[1])
    y2, x2 = max(y1, min(y + layer[0], picture[0])), max(x1, min(x + layer[1], picture[1]))
    return slice(y1, y2), slice(x1, x2), slice(y1 - y, y2 - y), slice(x1 - x, x2 - x)
