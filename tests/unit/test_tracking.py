"""Following people: the real ByteTrack over hand-made boxes."""

import numpy as np
import polars as pl
import pytest

from runner_reid import tables
from runner_reid.tracking import track_runners

FPS = 30


def frames_of(count: int, *, files: int = 1, fps: float = FPS) -> pl.DataFrame:
    """FRAMES of equally long clips, `count` in all."""
    return tables.FRAMES.frame(
        [
            {"frame": frame, "file": frame * files // count, "file_frame": 0, "pts": frame, "time_s": frame / fps}
            | {"width": 1280, "height": 720, "motion": 1.0, "selected": True}
            for frame in range(count)
        ]
    )


def persons_of(people: list[dict[int, float]], *, score: float = 0.9, size=(60.0, 180.0)) -> pl.DataFrame:
    """PERSONS out of, per person, the left edge by frame; numbered within a frame by their place, left to right."""
    places = sorted((frame, left, who) for who, lefts in enumerate(people) for frame, left in lefts.items())
    rows, number = [], {}
    for frame, left, who in places:
        number[frame] = number.get(frame, -1) + 1
        box = {"x1": left, "y1": 100.0 + 8 * who, "x2": left + size[0], "y2": 100.0 + 8 * who + size[1]}
        rows.append({"frame": frame, "person": number[frame], **box, "score": score, "mask": b""})
    return tables.PERSONS.frame(rows)


def run(speed: float, start: float = 0.0, frames=range(60)) -> dict[int, float]:
    return {frame: start + speed * frame for frame in frames}


def sure(persons: pl.DataFrame, score: float = 1.0) -> pl.DataFrame:
    return persons.select("frame", "person", score=pl.lit(score, pl.Float32))


@pytest.fixture
def followed(params):
    """A function that tracks people and gives, per person, the set of track numbers."""

    def track(people, *, frames=None, runners=None, persons=None, **changes):
        persons = persons_of(people) if persons is None else persons
        runners = sure(persons) if runners is None else runners
        frames = frames_of(60) if frames is None else frames
        tracks = tables.TRACKS.check(track_runners(frames, persons, runners, **{**params["tracking"], **changes}))
        joined = tracks.join(persons, on=["frame", "person"], validate="1:1")
        return [
            set(joined.filter(pl.col("y1") == 100.0 + 8 * who)["track"].to_list()) for who in range(max(1, len(people)))
        ]

    return track


@pytest.mark.parametrize(
    "people, expected",
    [
        ([], [set()]),
        ([run(9.0)], [{0}]),
        ([{5: 100.0}], [{0}]),
        ([run(9.0), run(-9.0, 800.0)], [{0}, {1}]),
        ([run(6.0), run(9.0, 10.0)], [{0}, {1}]),
        ([run(9.0, frames=[f for f in range(60) if f != 30])], [{0}]),
        ([run(9.0, frames=[f for f in range(60) if not 30 <= f < 40])], [{0}]),
        ([run(3.0, frames=range(20)) | run(3.0, frames=range(55, 60))], [{0, 1}]),
        ([run(9.0, frames=range(20)) | run(-9.0, 800.0, frames=range(25, 60))], [{0, 1}]),
    ],
    ids=[
        "empty",
        "one",
        "once",
        "they cross",
        "one overtakes",
        "one lost frame",
        "ten lost frames",
        "lost for longer",
        "another one",
    ],
)
def test_who_is_followed(followed, people, expected):
    assert followed(people) == expected


def test_a_new_file_starts_new_tracks(followed):
    assert followed([run(1.0)], frames=frames_of(60, files=3)) == [{0, 1, 2}]


def test_numbers_have_no_gaps_over_stretches(followed):
    people = [run(2.0, frames=[*range(10), *range(50, 60)]), run(2.0, 500.0, frames=[*range(10), *range(50, 60)])]
    assert followed(people, buffer_s=0.5) == [{0, 2}, {1, 3}]


@pytest.mark.parametrize("fps, kept", [(30, False), (120, True)])
def test_the_buffer_is_in_seconds(followed, fps, kept):
    people = [run(1.0, frames=[*range(10), *range(40, 50)])]
    assert followed(people, frames=frames_of(60, fps=fps), buffer_s=0.5) == [{0} if kept else {0, 1}]


@pytest.mark.parametrize("buffer_s, found", [(0.1, {0, 1}), (2.0, {0})])
def test_a_larger_buffer_bridges_more(followed, buffer_s, found):
    assert followed([run(2.0, frames=[*range(20), *range(35, 60)])], buffer_s=buffer_s) == [found]


@pytest.mark.parametrize("score, found", [(0.45, set()), (0.6, {0})])
def test_who_is_no_runner_is_left_out(followed, score, found):
    persons = persons_of([run(9.0)])
    assert followed([run(9.0)], persons=persons, runners=sure(persons, score)) == [found]
    assert followed([run(9.0)], persons=persons, runners=tables.RUNNERS.empty()) == [set()]


@pytest.mark.parametrize("score, found", [(0.05, set()), (0.3, set()), (0.45, set()), (0.9, {0})])
def test_weak_detections_start_no_track(followed, score, found):
    persons = persons_of([run(9.0)], score=score)
    assert followed([run(9.0)], persons=persons) == [found]


def test_weak_detections_continue_a_track(followed):
    """An occluded runner: the score falls below high_score, and the row numbers stay right."""
    persons = persons_of([run(9.0), run(9.0, 600.0)]).with_columns(
        score=pl.when(pl.col("frame").is_between(20, 40) & (pl.col("x1") < 500))
        .then(0.2)
        .otherwise(0.9)
        .cast(pl.Float32)
    )
    assert followed([{}, {}], persons=persons) == [{0}, {1}]


def test_each_detection_keeps_its_own_row(params):
    rng = np.random.default_rng(0)
    people = [run(speed, start) for speed, start in zip(rng.uniform(-8, 8, 6), rng.uniform(200, 900, 6), strict=True)]
    persons = persons_of(people).with_columns(score=pl.Series(rng.uniform(0.3, 1, 360), dtype=pl.Float32))
    tracks = track_runners(frames_of(60), persons, sure(persons), **params["tracking"])
    assert tracks.select("frame", "person").is_unique().all()
    assert tracks.join(persons, on=["frame", "person"], how="anti").height == 0
