"""Step 2: running scenes, each one passage of one runner (Suzuki et al., section 3.2)."""

import itertools
import logging
from collections import Counter

import numpy as np
import polars as pl

from runner_reid import gait
from runner_reid.masks import mask_area
from runner_reid.tables import SCENE_DETECTIONS, SCENES

log = logging.getLogger(__name__)

EDGE_PX = 2.0
"""A box this close to the left or right edge of the picture is cut off by it."""
MIN_DOUBLED_FRAMES = 3
"""Frames that two tracks must share to be taken for one person found twice."""
MERGED_SHARE = 0.5
"""Who is not found himself is in another's box if the smaller of it and his interpolated box lies in both by this."""
SMOOTHING_S = 0.6
"""Seconds over which a speed is measured: about two steps, so that swinging limbs cancel out."""


def detections_of(tracks: pl.DataFrame, persons: pl.DataFrame, frames: pl.DataFrame) -> pl.DataFrame:
    """Every tracked detection with what scenes and gaits are made from, sorted by track and frame.

    Columns track, frame, person, time_s, file, picture_px (width of the picture), x1..y2, x (centre), width, height
    (all px), inside (not cut off by the left or right edge), area_px (of the mask).
    """
    joined = tracks.join(persons.drop("score"), on=["frame", "person"]).join(
        frames.select("frame", "time_s", "file", picture_px="width"), on="frame"
    )
    areas = [mask_area(code, np.array(box)) for code, *box in joined.select("mask", "x1", "y1", "x2", "y2").iter_rows()]
    return joined.select(
        "track",
        "frame",
        "person",
        "time_s",
        "file",
        "picture_px",
        "x1",
        "y1",
        "x2",
        "y2",
        x=(pl.col("x1") + pl.col("x2")) / 2,
        width=pl.col("x2") - pl.col("x1"),
        height=pl.col("y2") - pl.col("y1"),
        inside=(pl.col("x1") > EDGE_PX) & (pl.col("x2") < pl.col("picture_px") - EDGE_PX),
        area_px=pl.Series(areas, dtype=pl.Int32),
    ).sort("track", "frame")


def build_scenes(
    detections: pl.DataFrame,
    *,
    doubled: float,
    stitch_s: float,
    stitch_distance: float,
    min_length_s: float,
    min_aspect: float,
    max_aspect: float,
    min_height_px: float,
    min_crossing: float,
    min_straightness: float,
    min_speed: float,
    max_speed: float,
    directions: list[str],
    min_cadence: float,
    max_cadence: float,
    min_strength: float,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Passages out of tracks: tables SCENES and SCENE_DETECTIONS.

    detections: as from `detections_of`.
    doubled: two tracks are one person found twice if the smaller box of the two lies in the other by this share, on
        average over the frames they share. Smaller joins more, and in the end people who run behind each other.
    stitch_s, stitch_distance: a track that starts within this time of another's end, and within this many body
        heights of where the other was heading, is the same passage. Larger mends more breaks and joins strangers.
    min_length_s: shorter passages are dropped.
    min_aspect, max_aspect: median width / height of the crops outside of these is no whole runner.
    min_height_px: smaller people are too far away.
    min_crossing: share of the picture's width that must be crossed. min_straightness: net over total horizontal way.
    min_speed: horizontal speed in body heights per second from which a person is running. A passage is the longest
        running part of a track: standing, kneeling and walking before or after it are cut off.
    max_speed: who is faster on the median is no runner of the practice, but a sprinter.
    directions: of `left`, `right`.
    min_cadence, max_cadence, min_strength: see `gait.step_period`.
    """
    single = _join_doubles(detections, doubled)
    stitched = _stitch(single, stitch_s=stitch_s, stitch_distance=stitch_distance)
    parts = [_running_part(part, min_speed) for _, part in stitched.group_by("track", maintain_order=True)]
    dropped: Counter[str] = Counter()
    kept, rows = [], []
    for part in parts:
        if not part.height:
            dropped["not crossing"] += 1
            continue
        measured = _measure(part)
        reason = (
            "length"
            if measured["end_s"] - measured["start_s"] < min_length_s
            else "crop shape"
            if not (min_aspect <= measured["aspect"] <= max_aspect and measured["height"] >= min_height_px)
            else "not crossing"
            if measured["crossing"] < min_crossing
            or measured["straightness"] < min_straightness
            or measured["direction"] not in directions
            else "speed"
            if measured["speed"] > max_speed
            else None
        )
        log.debug("%s -> %s", measured, reason or "scene")
        if reason:
            dropped[reason] += 1
            continue
        rows.append({name: measured[name] for name in SCENES.columns if name in measured})
        kept.append(part)
    log.info(
        "%d scenes; dropped by length %d, by crop shape %d, by not crossing %d, by speed %d",
        len(rows),
        *(dropped[reason] for reason in ("length", "crop shape", "not crossing", "speed")),
    )
    kept = [part.with_columns(apart=pl.Series(share)) for part, share in zip(kept, _apart(kept), strict=True)]
    for row, part in zip(rows, kept, strict=True):
        whole = part.filter(pl.col("inside") & (pl.col("apart") > 0))
        period = gait.step_period(
            whole["time_s"].to_numpy(),
            whole["width"].to_numpy().astype(float),
            min_cadence=min_cadence,
            max_cadence=max_cadence,
            min_strength=min_strength,
        )
        row["cadence"] = 60 / period
    order = sorted(range(len(rows)), key=lambda i: (rows[i]["start_s"], rows[i]["track"]))
    scenes = SCENES.frame([{"scene": scene, **rows[i]} for scene, i in enumerate(order)])
    parts = [kept[i].with_columns(scene=pl.lit(scene, pl.Int32)) for scene, i in enumerate(order)]
    return scenes, pl.concat(parts).select(SCENE_DETECTIONS.schema.names()) if parts else SCENE_DETECTIONS.empty()


def _measure(part: pl.DataFrame) -> dict:
    """What a passage is judged by, from its detections in order of time."""
    time_s, x, height = (part[name].to_numpy().astype(float) for name in ("time_s", "x", "height"))
    net, way = x[-1] - x[0], np.abs(np.diff(x)).sum()
    return {
        "track": int(part["track"][0]),
        "first_frame": int(part["frame"][0]),
        "last_frame": int(part["frame"][-1]),
        "start_s": time_s[0],
        "end_s": time_s[-1],
        "direction": "right" if net >= 0 else "left",
        "speed": float(np.median(np.abs(_velocity(part)))),
        "aspect": float(np.median(part["width"].to_numpy() / height)),
        "height": float(np.median(height)),
        "crossing": abs(net) / part["picture_px"][0],
        "straightness": abs(net) / way if way else 0.0,
    }


def _apart(parts: list[pl.DataFrame]) -> list[np.ndarray]:
    """Of each detection of each passage, the share of its box that lies in no box of another passage.

    Where the other is not found, but was before and will be after, his box is interpolated. If it lies here, then
    both are in this box, and none of it is apart.
    """
    frames = [part["frame"].to_numpy() for part in parts]
    boxes = [part.select("x1", "y1", "x2", "y2").to_numpy().astype(float) for part in parts]
    apart = [np.ones(len(frame), np.float32) for frame in frames]
    for i, j in itertools.permutations(range(len(parts)), 2):
        both = (frames[i] >= frames[j][0]) & (frames[i] <= frames[j][-1])
        if not both.any():
            continue
        own = boxes[i][both]
        other = np.column_stack([np.interp(frames[i][both], frames[j], edge) for edge in boxes[j].T])
        common = (np.minimum(own[:, 2:], other[:, 2:]) - np.maximum(own[:, :2], other[:, :2])).clip(0).prod(axis=1)
        areas = [(box[:, 2:] - box[:, :2]).prod(axis=1) for box in (own, other)]
        merged = ~np.isin(frames[i][both], frames[j]) & (common >= MERGED_SHARE * np.minimum(*areas))
        apart[i][both] = np.minimum(apart[i][both], np.where(merged, 0, 1 - common / areas[0]))
    return apart


def _velocity(part: pl.DataFrame) -> np.ndarray:
    """(T,) horizontal velocity of the detections of a track, smoothed over SMOOTHING_S, in body heights per second.

    The body height is the 90 % quantile of the box heights: who kneels or bends is not smaller for it.
    """
    time_s, x = part["time_s"].to_numpy(), part["x"].to_numpy().astype(float)
    before, after = (np.clip(time_s + side * SMOOTHING_S / 2, time_s[0], time_s[-1]) for side in (-1, 1))
    moved = np.interp(after, time_s, x) - np.interp(before, time_s, x)
    return moved / np.maximum(after - before, 1e-9) / float(np.quantile(part["height"].to_numpy(), 0.9))


def _running_part(part: pl.DataFrame, min_speed: float) -> pl.DataFrame:
    """The longest stretch of a track that runs one way, with the frames beside it that the picture's edge cuts off."""
    velocity = _velocity(part)
    runs = np.where(np.abs(velocity) >= min_speed, np.sign(velocity), 0)
    edges = np.flatnonzero(np.diff(runs)) + 1
    stretches = [span for span in np.split(np.arange(len(runs)), edges) if runs[span[0]]]
    if not stretches:
        return part.clear()
    x = part["x"].to_numpy()
    longest = max(stretches, key=lambda span: abs(x[span[-1]] - x[span[0]]))
    first, last = longest[0], longest[-1]
    inside = part["inside"].to_numpy()
    while first > 0 and not inside[first - 1]:
        first -= 1
    while last < len(inside) - 1 and not inside[last + 1]:
        last += 1
    return part[int(first) : int(last) + 1]


def _join_doubles(detections: pl.DataFrame, doubled: float) -> pl.DataFrame:
    """Give tracks of one person one number: that of the longer, whose detections stay; the other's fill its gaps."""
    other = {edge: pl.col(f"{edge}_other") for edge in ("x1", "y1", "x2", "y2")}
    sides = [
        (pl.min_horizontal(f"{axis}2", other[f"{axis}2"]) - pl.max_horizontal(f"{axis}1", other[f"{axis}1"])).clip(0)
        for axis in "xy"
    ]
    areas = [
        pl.col("width") * pl.col("height"),
        (other["x2"] - other["x1"]) * (other["y2"] - other["y1"]),
    ]
    pairs = (
        detections.join(detections.select("frame", "track", *other), on="frame", suffix="_other")
        .filter(pl.col("track") < pl.col("track_other"))
        .group_by("track", "track_other")
        .agg(within=(sides[0] * sides[1] / pl.min_horizontal(*areas)).mean(), shared=pl.len())
        .filter((pl.col("within") >= doubled) & (pl.col("shared") >= MIN_DOUBLED_FRAMES))
        .sort("shared", "track", "track_other", descending=[True, False, False])
    )
    parts: dict[int, pl.DataFrame] = {part["track"][0]: part for part in detections.partition_by("track")}
    joined = {track: track for track in parts}
    for pair in pairs.select("track", "track_other").iter_rows():
        kept, gone = sorted((joined[track] for track in pair), key=lambda track: -parts[track].height)
        if kept != gone:
            added = parts.pop(gone).join(parts[kept].select("frame"), on="frame", how="anti")
            parts[kept] = pl.concat([parts[kept], added.with_columns(track=pl.lit(kept, pl.Int32))])
            joined = {track: kept if name == gone else name for track, name in joined.items()}
    return pl.concat(parts.values()).sort("track", "frame") if parts else detections


def _stitch(detections: pl.DataFrame, *, stitch_s: float, stitch_distance: float) -> pl.DataFrame:
    """Give a track that goes on where another one of the same file broke off the other's number."""
    parts = detections.partition_by("track", maintain_order=True)
    ends = sorted(parts, key=lambda part: part["time_s"][0])
    heads: list[pl.DataFrame] = []
    for part in ends:
        fitting = [
            (gap, i)
            for i, head in enumerate(heads)
            if (gap := _gap(head, part, stitch_s)) is not None and gap <= stitch_distance
        ]
        if fitting:
            i = min(fitting)[1]
            heads[i] = pl.concat([heads[i], part.with_columns(track=pl.lit(heads[i]["track"][0], pl.Int32))])
        else:
            heads.append(part)
    return pl.concat(heads).sort("track", "frame") if heads else detections


def _gap(head: pl.DataFrame, part: pl.DataFrame, stitch_s: float) -> float | None:
    """Body heights between where `head` was heading and where `part` starts; None if it cannot go on there."""
    wait = part["time_s"][0] - head["time_s"][-1]
    if not 0 < wait <= stitch_s or head["file"][0] != part["file"][0] or head.height < 3 or part.height < 3:
        return None
    before, after = head.tail(10), part.head(10)
    pace = [(rows["x"][-1] - rows["x"][0]) / (rows["time_s"][-1] - rows["time_s"][0]) for rows in (before, after)]
    height = float(np.median(pl.concat([before, after])["height"].to_numpy()))
    miss = head["x"][-1] + np.mean(pace) * wait - part["x"][0]
    drift = (pace[0] - pace[1]) * 0.25
    return float(np.hypot(miss, drift)) / height
