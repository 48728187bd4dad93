"""Step 2: follow persons over time with ByteTrack (Zhang et al. 2022, as in ultralytics)."""

import logging
from types import SimpleNamespace

import numpy as np
import polars as pl

from runner_reid.networks import prepare_torchvision
from runner_reid.tables import TRACKS

prepare_torchvision()

from ultralytics.engine.results import Boxes  # noqa: E402 - needs the operators that prepare_torchvision provides
from ultralytics.trackers.byte_tracker import BYTETracker  # noqa: E402

log = logging.getLogger(__name__)


def track_runners(
    frames: pl.DataFrame,
    persons: pl.DataFrame,
    runners: pl.DataFrame,
    *,
    min_runner_score: float,
    high_score: float,
    low_score: float,
    new_track_score: float,
    buffer_s: float,
    match_cost: float,
    fuse_score: bool,
) -> pl.DataFrame:
    """Which detections are one person followed over time (table TRACKS).

    frames, persons, runners: tables FRAMES, PERSONS, RUNNERS of one session.
    min_runner_score: detections less surely a runner are left out.
    high_score, low_score: detections above the first are matched first, those between them second.
    new_track_score: a detection that matches nothing starts a track from this score.
    buffer_s: a lost person is waited for this long; larger bridges occlusions and mixes up people.
    match_cost: largest 1 - IoU of a match; larger tolerates faster people and mixes up people.
    fuse_score: multiply the IoU by the detection's score.
    A returning runner gets a new track; so does everybody in a new file of the session.
    """
    sure = runners.filter(pl.col("score") >= min_runner_score).select("frame", "person")
    boxes = persons.drop("mask").join(sure, on=["frame", "person"], how="semi").sort("frame", "person")
    log.info("%d of %d detections are runners", boxes.height, persons.height)
    by_frame = {int(str(frame)): rows for (frame,), rows in boxes.group_by("frame", maintain_order=True)}
    step_s = float(np.median(np.diff(frames["time_s"].to_numpy()))) if frames.height > 1 else 1.0
    buffer = max(1, round(buffer_s / step_s))
    settings = SimpleNamespace(
        track_high_thresh=high_score,
        track_low_thresh=low_score,
        new_track_thresh=new_track_score,
        track_buffer=buffer,
        match_thresh=match_cost,
        fuse_score=fuse_score,
    )
    found: list[tuple[int, int, int]] = []
    numbers: dict[tuple[int, int], int] = {}
    stretches = _stretches(frames, np.array(sorted(by_frame), int), buffer)
    for stretch, (first, last) in enumerate(stretches):
        tracker = BYTETracker(settings)
        for frame in range(first, last + 1):
            rows = by_frame.get(frame, boxes.clear())
            for output in tracker.update(_boxes(rows)):
                number = numbers.setdefault((stretch, int(output[4])), len(numbers))
                found.append((frame, int(rows["person"][int(output[-1])]), number))
    return TRACKS.frame([dict(zip(TRACKS.columns, row, strict=True)) for row in found])


def _boxes(rows: pl.DataFrame) -> Boxes:
    """Rows of PERSONS as what ByteTrack reads: x1, y1, x2, y2, score, class."""
    table = rows.select("x1", "y1", "x2", "y2", "score").to_numpy().reshape(-1, 5).astype(np.float32)
    return Boxes(np.column_stack([table, np.zeros(len(table), np.float32)]), (1, 1))


def _stretches(frames: pl.DataFrame, busy: np.ndarray, buffer: int) -> list[tuple[int, int]]:
    """First and last frame of each stretch not cut by an empty time over `buffer` frames or a change of file."""
    if not len(busy):
        return []
    file = frames["file"].to_numpy()
    cuts = np.flatnonzero((np.diff(busy) > buffer) | (np.diff(file[busy]) != 0)) + 1
    return [(int(part[0]), int(part[-1])) for part in np.split(busy, cuts)]
