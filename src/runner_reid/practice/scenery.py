"""What stands behind the runners: a track with its surroundings, still but for what the wind moves."""

from dataclasses import dataclass

import cv2
import numpy as np

from runner_reid.practice.camera import Light, View
from runner_reid.practice.world import LANE_DEPTHS_M

LANE_M = 1.22
TRACK_EDGES_M = (-4.3, 3.05)
"""Depth of the outer and the inner edge of the track, from its middle."""
FENCE_M, FENCE_UP_M = 13.0, 1.15
HEDGE_UP_M, TREE_UP_M = 2.7, 5.6
WIND_HZ = 15
"""How often what sways is drawn anew."""
WORDS = ("CLUB", "SPORT", "LAUF", "TRACK", "10 KM", "BANK", "AUTO", "RADIO", "BIKE", "TEAM")


@dataclass(frozen=True)
class Sway:
    """A rectangle of the picture that moves with the wind.

    x, y: its left upper pixel. sine, cosine: (h, w, 2) float32, how far each pixel moves. rate_hz: how fast.
    """

    x: int
    y: int
    sine: np.ndarray
    cosine: np.ndarray
    rate_hz: float

    def apply(self, still: np.ndarray, moved: np.ndarray, time_s: float) -> None:
        """Draw the rectangle of `still`, as it is at `time_s`, into `moved`."""
        height, width = self.sine.shape[:2]
        turn = 2 * np.pi * self.rate_hz * time_s
        gust = 0.65 + 0.35 * np.sin(0.31 * turn + 1.0)
        grid = self.sine * np.float32(gust * np.sin(turn)) + self.cosine * np.float32(gust * np.cos(turn))
        across, down = cv2.split(grid + _pixels(height, width))
        source = still[self.y : self.y + height, self.x : self.x + width]
        moved[self.y : self.y + height, self.x : self.x + width] = cv2.remap(
            source, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )


class Scenery:
    """The background of a practice. still: (H, W, 3) uint8 BGR. lamps: (H, W, 3) uint8, share of light per
    pixel."""

    def __init__(self, *, seed: int, view: View, light: Light):
        rng = np.random.default_rng([seed, 3])
        self.lamps = _lamps(view, light)
        rgb, leafy = _draw(view, rng, night=light.exposure_s > 0)
        graded = light.grade(rgb)[..., ::-1] * (self.lamps / 255.0)
        if light.exposure_s:
            graded += _bloom(view)
        soft = cv2.GaussianBlur(graded.astype(np.float32), (0, 0), max(0.45, light.blur_px) * view.unit)
        self.still = np.clip(soft, 0, 255).astype(np.uint8)
        self._sways = [_trees(view, rng, leafy), _flag(view)]
        self._moved, self._tick = self.still.copy(), -1

    def at(self, time_s: float) -> np.ndarray:
        """The background at a time; a new array."""
        tick = int(time_s * WIND_HZ + 1e-6)
        if tick != self._tick:
            self._tick = tick
            for sway in self._sways:
                sway.apply(self.still, self._moved, tick / WIND_HZ)
        return self._moved.copy()


def grain(shape: tuple[int, int], rng: np.random.Generator, sizes_px: tuple[float, ...]) -> np.ndarray:
    """(H, W) float32 noise of mean 0 and deviation 1: a sum of blurred noises, coarser ones stronger."""
    total = np.zeros(shape, np.float32)
    for size_px in sizes_px:
        step = max(1, int(size_px / 2))
        small: np.ndarray = rng.standard_normal((shape[0] // step + 2, shape[1] // step + 2)).astype(np.float32)
        small = cv2.GaussianBlur(small, (0, 0), max(0.5, size_px / step / 2))
        layer = cv2.resize(small, (small.shape[1] * step, small.shape[0] * step), interpolation=cv2.INTER_CUBIC)
        layer = layer[: shape[0], : shape[1]]
        total += layer / layer.std() * np.float32(np.sqrt(size_px))
    return total / total.std()


def _pixels(height: int, width: int) -> np.ndarray:
    """(h, w, 2) float32: the x and y of every pixel."""
    return np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.float32)


def _rows(view: View, depth_m: float, up_m: float = 0.0) -> int:
    """The row of a point `up_m` above the ground."""
    return round(float(view.ground_px(depth_m) - view.scale_px(depth_m) * up_m))


def _draw(view: View, rng: np.random.Generator, *, night: bool) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) float RGB of everything, far to near, and (H, W) bool where there are leaves in sight."""
    shape, unit = (view.height, view.width), view.unit
    picture = np.zeros((*shape, 3), np.float32)
    rows = np.arange(view.height, dtype=np.float32)[:, None, None]
    sky = np.array([150, 190, 235]) + rows / view.height * np.array([190, 110, 30])
    picture[:] = np.array([16, 18, 30]) if night else sky
    clouds = np.clip(grain(shape, rng, (120 * unit, 50 * unit, 16 * unit)), 0, 2)[..., None]
    picture += clouds * (1 if night else 22)
    leafy = _foliage(picture, view, rng, TREE_UP_M, (58, 88, 44), waviness=30 * unit)
    before = picture.copy()
    _stand(picture, view, rng)
    leafy &= (picture == before).all(axis=-1)
    leafy |= _foliage(picture, view, rng, HEDGE_UP_M, (46, 74, 38), waviness=4 * unit)
    before = picture.copy()
    _ground(picture, view, rng)
    _fence(picture, view, rng)
    _flagpole(picture, view, rng)
    _bench(picture, view, rng)
    leafy &= (picture == before).all(axis=-1)
    return np.clip(picture, 0, 255), leafy


def _foliage(
    picture: np.ndarray, view: View, rng: np.random.Generator, up_m: float, rgb: tuple, waviness: float
) -> np.ndarray:
    """Leaves from the fence up to a wavy edge; returns (H, W) bool where they are."""
    shape, unit = picture.shape[:2], view.unit
    edge = _rows(view, FENCE_M, up_m) + waviness * grain((1, shape[1]), rng, (170 * unit, 60 * unit, 14 * unit))[0]
    leaves = grain(shape, rng, (34 * unit, 12 * unit, 5 * unit, 2.5 * unit))
    ragged = np.arange(shape[0])[:, None] + 3.5 * unit * leaves
    inside = (ragged > edge[None]) & (np.arange(shape[0])[:, None] < _rows(view, FENCE_M) + 2)
    hue = 1 + 0.14 * grain(shape, rng, (90 * unit, 40 * unit))[..., None] * np.array([1.2, 0.6, 0.4])
    colour = np.array(rgb) * hue * (1 + 0.27 * leaves[..., None])
    picture[inside] = colour[inside]
    return inside


def _stand(picture: np.ndarray, view: View, rng: np.random.Generator) -> None:
    """Rows of seats under a roof."""
    left = int(view.width * rng.uniform(0.52, 0.66))
    right = min(view.width, left + int(0.30 * view.width))
    top, bottom = _rows(view, FENCE_M, 4.3), _rows(view, FENCE_M)
    picture[top:bottom, left:right] = (118, 116, 112)
    step = max(3, int(11 * view.unit))
    seats = [np.array([40, 84, 150]), np.array([200, 190, 180]), np.array([190, 60, 50])]
    for number, row in enumerate(range(top + 3 * step, bottom, step)):
        picture[row : row + step // 3, left:right] = (90, 88, 86)
        seat = seats[int(rng.choice(3, p=[0.7, 0.15, 0.15]))]
        for x in range(left + (number % 2) * step // 2, right - step // 2, step):
            picture[row + step // 3 : row + step, x : x + (2 * step) // 3] = seat * rng.uniform(0.82, 1.08)
    picture[top : top + step, left - step : min(view.width, right + step)] = (70, 74, 80)
    picture[top + step : top + 3 * step, left:right] *= 0.45
    for x in np.linspace(left, right - step // 2, 4).astype(int):
        picture[top:bottom, x : x + max(2, step // 4)] = (84, 86, 90)


def _ground(picture: np.ndarray, view: View, rng: np.random.Generator) -> None:
    """Grass behind the track, and the track with its lines."""
    shape, unit = picture.shape[:2], view.unit
    top = _rows(view, FENCE_M)
    rows = np.arange(top, shape[0])
    depth_m = view.depth_m(rows.astype(float))
    size = (len(rows), shape[1])
    fine, coarse = grain(size, rng, (1.2 * unit, 2.5 * unit)), grain(size, rng, (60 * unit, 24 * unit))
    stripes = np.sign(np.sin(depth_m * 1.9))[:, None] * 0.05
    grass = np.array([82, 124, 56]) * (1 + 0.10 * fine + 0.06 * coarse + stripes)[..., None]
    tartan = np.array([172, 82, 64]) * (1 + 0.055 * fine + 0.035 * coarse)[..., None]
    on_track = (depth_m > TRACK_EDGES_M[0]) & (depth_m < TRACK_EDGES_M[1])
    picture[top:] = np.where(on_track[:, None, None], tartan, grass)
    lines_m = np.arange(LANE_DEPTHS_M[0] - 1.5 * LANE_M, TRACK_EDGES_M[1] + 0.1, LANE_M)
    for line_m in lines_m:
        _line(picture, view, (-9, line_m), (9, line_m), (226, 222, 214), 0.055)
    for x_m in (-3.4, 2.1):
        _line(picture, view, (x_m, TRACK_EDGES_M[0]), (x_m, TRACK_EDGES_M[1]), (224, 220, 212), 0.06)
    for lane, depth in enumerate(lines_m[:-1]):
        x, y = _at(view, 2.4, depth + 0.38 * LANE_M)
        _letters(picture, str(len(lines_m) - 1 - lane), (int(x), int(y)), 0.55 * unit, (226, 222, 214))


def _letters(area: np.ndarray, text: str, corner: tuple[int, int], size: float, rgb: tuple) -> None:
    """Text whose left lower corner is `corner`. size: 1 is about 22 px high."""
    stencil = np.zeros(area.shape[:2], np.uint8)
    cv2.putText(stencil, text, corner, cv2.FONT_HERSHEY_DUPLEX, size, 255, max(1, round(2 * size)), cv2.LINE_AA)
    share = stencil[..., None] / np.float32(255)
    area += share * (np.array(rgb, np.float32) - area)


def _at(view: View, x_m: float, depth_m: float, up_m: float = 0.0) -> tuple[float, float]:
    scale = float(view.scale_px(depth_m))
    return view.width / 2 + scale * x_m, float(view.ground_px(depth_m)) - scale * up_m


def _line(
    picture: np.ndarray,
    view: View,
    start: tuple[float, float],
    end: tuple[float, float],
    rgb: tuple,
    wide_m: float,
) -> None:
    """A painted line on the ground between two (x, depth) points."""
    along = np.array(end) - start
    side = np.array([-along[1], along[0]]) / np.hypot(*along) * wide_m / 2
    corners = [np.add(start, side), np.add(end, side), np.subtract(end, side), np.subtract(start, side)]
    points = np.round(np.array([_at(view, *corner) for corner in corners]) * 16).astype(np.int32)
    cv2.fillPoly(picture, [points], rgb, cv2.LINE_8, 4)


def _fence(picture: np.ndarray, view: View, rng: np.random.Generator) -> None:
    """A fence with posters."""
    top, bottom = _rows(view, FENCE_M, FENCE_UP_M), _rows(view, FENCE_M)
    picture[top:bottom, :] = 0.45 * picture[top:bottom, :] + np.array([70, 72, 72])
    for x in range(0, view.width, max(4, int(7 * view.unit))):
        picture[top:bottom, x : x + 1] *= 0.72
    picture[top : top + max(2, int(3 * view.unit))] = (188, 190, 190)
    x = int(rng.uniform(0, 40) * view.unit)
    while x < view.width:
        width = int(rng.uniform(70, 170) * view.unit)
        if rng.random() < 0.8:
            _poster(picture[top + 4 : bottom - 3, x : x + width], view, rng)
        x += width + int(rng.uniform(6, 60) * view.unit)


def _poster(area: np.ndarray, view: View, rng: np.random.Generator) -> None:
    if area.shape[1] < 24 * view.unit:
        return
    ground, ink = rng.uniform(30, 235, 3), rng.uniform(0, 255, 3)
    area[:] = ground
    area[:2], area[-2:], area[:, :2], area[:, -2:] = 225, 225, 225, 225
    shape = rng.integers(3)
    height, width = area.shape[:2]
    if shape == 0:
        area[int(0.62 * height) : int(0.85 * height), 4:-4] = ink
    elif shape == 1:
        radius = int(0.32 * height)
        middle = (int(0.8 * width), height // 2)
        cv2.circle(area, middle, radius, tuple(map(float, ink)), -1, cv2.LINE_8)
    size = 0.62 * view.unit * rng.uniform(0.7, 1.2)
    _letters(area, str(rng.choice(WORDS)), (int(8 * view.unit), int(0.6 * height)), size, tuple(255 - ground))


def _flag_box(view: View) -> tuple[int, int, int, int]:
    """x, y, width, height of the flag with the room in which it waves."""
    unit = view.unit
    return int(0.215 * view.width), int(52 * unit), int(84 * unit), int(58 * unit)


def _flagpole(picture: np.ndarray, view: View, rng: np.random.Generator) -> None:
    x, y, width, height = _flag_box(view)
    thick = max(2, int(3 * view.unit))
    picture[y - int(6 * view.unit) : _rows(view, FENCE_M - 1), x - thick : x] = (196, 198, 200)
    cloth = picture[y + height // 6 : y + 5 * height // 6, x : x + int(0.86 * width)]
    third = cloth.shape[0] // 3
    for number, rgb in enumerate(rng.uniform(30, 235, (3, 3))):
        cloth[number * third : (number + 1) * third] = rgb


def _bench(picture: np.ndarray, view: View, rng: np.random.Generator) -> None:
    """A bench with bags on the grass."""
    depth_m, x_m = 8.0, float(rng.uniform(-4.5, 2.0))
    wood, steel = (120, 92, 62), (60, 60, 62)
    bags = rng.uniform(30, 220, (3, 3))
    for start, end, low, high, rgb in (
        (0.0, 1.8, 0.40, 0.47, wood),
        (0.1, 0.16, 0.0, 0.42, steel),
        (1.64, 1.7, 0.0, 0.42, steel),
        (0.3, 0.75, 0.47, 0.80, bags[0]),
        (1.0, 1.35, 0.47, 0.70, bags[1]),
        (2.0, 2.5, 0.0, 0.36, bags[2]),
    ):
        x1, y1 = _at(view, x_m + start, depth_m, high)
        x2, y2 = _at(view, x_m + end, depth_m, low)
        cv2.rectangle(picture, (int(x1), int(y1)), (int(x2), int(y2)), tuple(map(float, rgb)), -1)


def _trees(view: View, rng: np.random.Generator, leafy: np.ndarray) -> Sway:
    """Leaves sway, more so the higher they are; what stands before or between them does not."""
    bottom = _rows(view, FENCE_M, FENCE_UP_M) - 2
    phase = np.pi * grain((bottom, view.width), rng, (70 * view.unit, 30 * view.unit))
    strength = np.linspace(1.0, 0.15, bottom, dtype=np.float32)[:, None] * 1.5 * view.unit
    edge_px = max(3, int(9 * view.unit)) | 1
    inner = cv2.erode(leafy[:bottom].astype(np.float32), np.ones((edge_px, edge_px)))
    strength = strength * cv2.GaussianBlur(inner, (0, 0), edge_px / 3)
    unsteady = np.stack([strength * np.cos(phase), 0.6 * strength * np.sin(1.3 * phase)], axis=-1)
    late = np.stack([strength * np.sin(phase), 0.6 * strength * np.cos(1.3 * phase)], axis=-1)
    return Sway(0, 0, unsteady.astype(np.float32), late.astype(np.float32), 0.45)


def _flag(view: View) -> Sway:
    """A flag: waves run from the pole outwards and grow on the way."""
    x, y, width, height = _flag_box(view)
    grid = _pixels(height, width)
    out = grid[..., 0] / width
    rise = 4.5 * view.unit * out
    wave = np.zeros((height, width, 2), np.float32)
    other = wave.copy()
    wave[..., 1], other[..., 1] = rise * np.cos(9 * out), -rise * np.sin(9 * out)
    return Sway(x, y, wave, other, 1.1)


def _lamps(view: View, light: Light) -> np.ndarray:
    """(H, W, 3) uint8 share of the light per pixel: even by day, pools and dark corners at night."""
    across = np.linspace(-1, 1, view.width)[None, :]
    down = np.linspace(-1, 1, view.height)[:, None]
    corners = across**2 + 0.6 * down**2
    if not light.exposure_s:
        share = 1 - 0.05 * corners
    else:
        pools = 0.10 * np.cos(2.6 * np.pi * across + 0.5)
        far = np.clip((np.arange(view.height)[:, None] / view.height - 0.30) / 0.34, 0, 1)
        share = (0.88 - 0.18 * corners + pools) * (0.34 + 0.66 * far)
    return np.repeat(np.clip(share * 255, 0, 255).astype(np.uint8)[..., None], 3, axis=-1)


def _bloom(view: View) -> np.ndarray:
    """(H, W, 3) BGR light of floodlights that look into the picture."""
    glow = np.zeros((view.height, view.width, 3), np.float32)
    for x, y in ((0.07, 0.05), (0.44, 0.035), (0.93, 0.06)):
        for step in range(-2, 3):
            centre = (int(x * view.width + 11 * step * view.unit), int(y * view.height))
            cv2.circle(glow, centre, max(2, int(4 * view.unit)), (235.0, 250.0, 255.0), -1)
    wide = cv2.GaussianBlur(glow, (0, 0), 26 * view.unit)
    near = cv2.GaussianBlur(glow, (0, 0), 6 * view.unit)
    return glow + 0.8 * near + 2.2 * wide
