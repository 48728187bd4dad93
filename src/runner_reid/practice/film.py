"""Films a practice: frame after frame into an H.264 file, and the truth of every frame."""

import math
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
import cv2
import numpy as np
import polars as pl

from runner_reid.errors import InputError
from runner_reid.files import atomic_path
from runner_reid.masks import encode_mask
from runner_reid.practice.camera import LIGHTS, Light, Shot, View, overlap, paint_body, paint_shadow, shots
from runner_reid.practice.figure import FAR_SHOE, NEAR_SHOE
from runner_reid.practice.scenery import Scenery, grain
from runner_reid.practice.world import Passage, practice_passages
from runner_reid.tables import TRUTH_PASSES, TRUTH_PERSONS, TRUTH_SHOES

MIN_BODY_VISIBLE = 0.03
MIN_SHOE_VISIBLE = 0.30
MIN_SHOE_PX = 5
ENCODER = {"crf": "20", "preset": "veryfast", "threads": "1", "x264-params": "mbtree=0"}
"""The same frames give the same bytes: one thread, and no macroblock tree, whose asm reads memory that
nothing has set (x264 core 165: the bytes change with MALLOC_PERTURB_)."""
NOISE_MARGIN_PX = 64
DRIFT_RAD_PER_S = np.array([0.13, 0.071, 0.097])
"""How fast the light and the two axes of the white balance stray: little within a passage, much from lap to lap."""
BODY_M = 1.3
"""No part of a body is further than this from its hips, sideways."""


@dataclass(frozen=True)
class Truth:
    """What a rendered video shows: tables TRUTH_PERSONS, TRUTH_SHOES and TRUTH_PASSES."""

    persons: pl.DataFrame
    shoes: pl.DataFrame
    passes: pl.DataFrame


def render_practice(
    video_path: str | os.PathLike,
    *,
    condition: str,
    seed: int,
    duration_s: float,
    fps: int,
    width: int,
    height: int,
    runners: int,
    crowd: int,
    sub_frames: int,
) -> Truth:
    """Render a practice to an mp4 file and return its truth.

    condition: `day` or `night`. seed: people, times and surroundings; another seed shares nobody. width,
    height: even. runners: how many runners take part; more also fill more of the time; 0 is an empty track.
    crowd: a larger number brings so many times as many people who are no runners.
    sub_frames: moments averaged over a long exposure (at night); more make smoother blur and take longer, and
    an odd number has one exactly in the middle, where the masks are taken.
    """
    _check(
        condition,
        duration_s=duration_s,
        fps=fps,
        width=width,
        height=height,
        runners=runners,
        sub_frames=sub_frames,
    )
    view, light = View(width, height), LIGHTS[condition]
    passages = practice_passages(seed=seed, duration_s=duration_s, runners=runners, crowd=crowd)
    scenery = Scenery(seed=seed, view=view, light=light)
    recorder, log = Recorder(seed, view, light), TruthLog(passages, view, fps)
    frames = round(duration_s * fps)
    with atomic_path(video_path) as temporary, av.open(str(temporary), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options=ENCODER)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1
        crews = _crews(passages, frames, fps=fps, view=view, light=light, sub_frames=sub_frames)
        for number, crew in enumerate(crews):
            picture = scenery.at(number / fps)
            for _, shot in crew:
                paint_shadow(picture, shot, light, view.unit)
            for _, shot in crew:
                paint_body(picture, shot, scenery.lamps)
            log.add(number, crew)
            frame = av.VideoFrame.from_ndarray(recorder.record(picture, number / fps), format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return log.truth()


def mot_text(persons: pl.DataFrame) -> str:
    """The persons as lines of the MOT15 format: frames and ids from 1, flag 1 for runners and 0 for
    others."""
    rows = persons.sort("frame", "passage").select("frame", "passage", "x1", "y1", "x2", "y2", "runner").iter_rows()
    return "".join(
        f"{frame + 1},{passage + 1},{x1:g},{y1:g},{x2 - x1:g},{y2 - y1:g},{int(runner)},-1,-1,-1\n"
        for frame, passage, x1, y1, x2, y2, runner in rows
    )


def identities_text(passes: pl.DataFrame) -> str:
    """Who each track of `mot_text` is: tab-separated, with a header."""
    rows = passes.sort("passage").select("passage", "actor").iter_rows()
    return "track\trunner\n" + "".join(f"{passage + 1}\t{actor}\n" for passage, actor in rows)


def _check(
    condition: str, *, duration_s: float, fps: int, width: int, height: int, runners: int, sub_frames: int
) -> None:
    if condition not in LIGHTS:
        raise InputError(f"condition is {condition!r}; expected one of {', '.join(LIGHTS)}")
    if width % 2 or height % 2 or width < 160 or height < 90:
        raise InputError(f"picture is {width}x{height}; expected even numbers of at least 160x90")
    if duration_s <= 0 or fps <= 0 or sub_frames <= 0 or runners < 0:
        raise InputError(
            f"duration_s={duration_s}, fps={fps}, sub_frames={sub_frames}, runners={runners}; "
            "expected positive numbers, and runners of at least 0"
        )


Crew = list[tuple[int, Shot]]
"""Everybody in one frame, far to near: number of the passage and the body."""


def _crews(
    passages: list[Passage], frames: int, *, fps: int, view: View, light: Light, sub_frames: int
) -> Iterator[Crew]:
    """Everybody in each frame."""
    spans = [_frames_of(passage, frames, fps=fps, view=view) for passage in passages]
    far_to_near = sorted(range(len(passages)), key=lambda number: (-passages[number].depth_m, number))
    entering = defaultdict(list)
    for number in far_to_near:
        entering[spans[number].start].append(number)
    active: dict[int, Iterator[Shot | None]] = {}
    for frame in range(frames):
        for number in entering[frame]:
            active[number] = shots(
                passages[number], spans[number], fps=fps, view=view, light=light, sub_frames=sub_frames
            )
        present = [(number, next(active[number])) for number in far_to_near if frame in spans[number]]
        yield [(number, shot) for number, shot in present if shot is not None]


def _frames_of(passage: Passage, frames: int, *, fps: int, view: View) -> range:
    """The frames in which any part of the body could be in the picture."""
    first_s, last_s = passage.span_s(view.half_width_m(passage.depth_m) + BODY_M)
    return range(min(frames, max(0, math.ceil(first_s * fps))), min(frames, max(0, math.floor(last_s * fps) + 1)))


class Recorder:
    """The sensor and the colour conversion: pictures become what the encoder gets."""

    def __init__(self, seed: int, view: View, light: Light):
        self._rng, self._light, self._view = np.random.default_rng([seed, 4]), light, view
        shape = (view.height + NOISE_MARGIN_PX, view.width + NOISE_MARGIN_PX)
        noise = grain(shape, self._rng, (0.6, 1.2)) * light.noise
        self._phases = self._rng.uniform(0, 2 * math.pi, 3)
        self._noise = np.clip(np.round(noise + 128), 0, 255).astype(np.uint8)

    def record(self, picture: np.ndarray, time_s: float) -> np.ndarray:
        """(H, W, 3) BGR -> (1.5 H, W) planes Y, U, V with noise and the light's unrest."""
        planes = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420)
        y, x = self._rng.integers(0, NOISE_MARGIN_PX, 2)
        noise = self._noise[y : y + self._view.height, x : x + self._view.width]
        drift = np.sin(DRIFT_RAD_PER_S * time_s + self._phases)
        gain = 1 + self._light.wander * drift[0]
        gain += self._light.flicker * math.sin(2 * math.pi * 3.3 * time_s)
        luma, chroma = planes[: self._view.height], planes[self._view.height :].reshape(2, -1)
        cv2.addWeighted(luma, gain, noise, 1.0, -128.0, dst=luma)
        for plane, stray in zip(chroma, self._light.balance * drift[1:], strict=True):
            cv2.add(plane, stray, dst=plane)
        return planes


class TruthLog:
    """Collects who is where, frame after frame."""

    def __init__(self, passages: list[Passage], view: View, fps: int):
        self._passages, self._view, self._fps = passages, view, fps
        self._persons: list[tuple] = []
        self._shoes: list[tuple] = []

    def add(self, frame: int, crew: Crew) -> None:
        """Log one frame. crew: far to near, so that the later hides the earlier."""
        if not crew:
            return
        owner = np.full((self._view.height, self._view.width), -1, np.int16)
        areas = [overlap(shot.x, shot.y, shot.body.shape, owner.shape) for _, shot in crew]
        for place, (rows, columns, *inner) in enumerate(areas):
            owner[rows, columns][crew[place][1].body[tuple(inner)]] = place
        for place, (rows, columns, *inner) in enumerate(areas):
            seen, (number, shot) = owner[rows, columns] == place, crew[place]
            self._add_body(frame, number, shot, seen, shot.label[tuple(inner)], (columns.start, rows.start))

    def _add_body(
        self,
        frame: int,
        number: int,
        shot: Shot,
        seen: np.ndarray,
        label: np.ndarray,
        corner: tuple[int, int],
    ) -> None:
        """Log one body. seen, label: what of it is visible, and what it is, from the pixel `corner` on."""
        visible = np.count_nonzero(seen) / max(1, int(np.count_nonzero(shot.body)))
        if visible < MIN_BODY_VISIBLE:
            return
        box, mask = _tight(seen, corner)
        actor = self._passages[number].actor
        self._persons.append((frame, number, actor.name, actor.runner, *box, visible, encode_mask(mask)))
        for side, shoe_label, area_px in zip(("far", "near"), (FAR_SHOE, NEAR_SHOE), shot.shoe_px, strict=True):
            shoe = seen & (label == shoe_label)
            share = min(1.0, np.count_nonzero(shoe) / max(1.0, area_px))
            if share < MIN_SHOE_VISIBLE:
                continue
            box, _ = _tight(shoe, corner)
            if box[2] - box[0] >= MIN_SHOE_PX:
                self._shoes.append((frame, number, side, *box, share))

    def truth(self) -> Truth:
        """The tables; passages are numbered by their first visible frame."""
        persons = pl.DataFrame(self._persons, schema=TRUTH_PERSONS.schema, orient="row")
        shoes = pl.DataFrame(self._shoes, schema=TRUTH_SHOES.schema, orient="row")
        first, last = pl.col("frame").min().alias("first"), pl.col("frame").max().alias("last")
        spans = persons.group_by("passage").agg(first, last).sort("first", "passage").rows()
        numbers = {span[0]: number for number, span in enumerate(spans)}
        passes = [self._pass_row(numbers[span[0]], *span) for span in spans]
        return Truth(
            persons=TRUTH_PERSONS.check(_renumber(persons, numbers).sort(TRUTH_PERSONS.key)),
            shoes=TRUTH_SHOES.check(_renumber(shoes, numbers).sort(TRUTH_SHOES.key)),
            passes=TRUTH_PASSES.check(pl.DataFrame(passes, schema=TRUTH_PASSES.schema, orient="row")),
        )

    def _pass_row(self, number: int, scheduled: int, first: int, last: int) -> tuple:
        passage = self._passages[scheduled]
        actor = passage.actor
        direction = "none" if passage.speed_mps == 0 else "right" if passage.speed_mps > 0 else "left"
        seconds = (first / self._fps, last / self._fps)
        shoes, clothes = actor.look.shoes.name, actor.look.clothes
        return (
            number,
            actor.name,
            actor.runner,
            first,
            last,
            *seconds,
            direction,
            actor.gait.cadence_spm,
            shoes,
            clothes,
        )


def _renumber(table: pl.DataFrame, numbers: dict[int, int]) -> pl.DataFrame:
    return table.with_columns(pl.col("passage").replace(numbers)) if numbers else table


def _tight(mask: np.ndarray, corner: tuple[int, int]) -> tuple[tuple[float, float, float, float], np.ndarray]:
    """The box of the set pixels of (h, w) `mask`, whose left upper pixel is `corner`, and the mask inside
    it."""
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    box = (
        float(corner[0] + x),
        float(corner[1] + y),
        float(corner[0] + x + width),
        float(corner[1] + y + height),
    )
    return box, mask[y : y + height, x : x + width]
