"""Passages: hand-made tracks of people who run, walk, stop, kneel and come back."""

import logging

import cv2
import numpy as np
import polars as pl
import pytest

from runner_reid import scenes, tables
from runner_reid.frames import extract_frames, read_frames
from runner_reid.runners import score_all
from runner_reid.tracking import track_runners

FPS = 30
WIDTH = 1280
BODY = 200.0
"""Pixels of a body's height: a speed of one body height per second is 200 px/s."""


def person(x, *, start: int = 0, height=BODY, cadence: float = 180.0) -> list[dict]:
    """A detection per frame from frame `start` on, out of the centres x and the heights (pixels)."""
    x = np.asarray(x, float)
    height = np.broadcast_to(height, x.shape)
    width = 70 + 20 * np.abs(np.cos(np.pi * np.arange(len(x)) / FPS * cadence / 60))
    return [
        {"frame": start + i, "x1": max(0.0, x[i] - width[i] / 2), "x2": min(WIDTH, x[i] + width[i] / 2)}
        | {"y1": 600 - height[i], "y2": 600.0}
        for i in range(len(x))
        if x[i] + width[i] / 2 > 1 and x[i] - width[i] / 2 < WIDTH - 1
    ]


def move(*legs: tuple[float, float], start: float = -30.0) -> np.ndarray:
    """Centres by frame, from `start` on: for so many seconds at so many body heights per second."""
    steps = np.concatenate([np.full(round(seconds * FPS), speed * BODY / FPS) for seconds, speed in legs])
    return start + np.cumsum(steps)


def without(detections: list[dict], first: int, last: int) -> list[list[dict]]:
    """A track that broke off: before frame `first`, and from `last` on."""
    return [[row for row in detections if row["frame"] < first], [row for row in detections if row["frame"] >= last]]


@pytest.fixture
def built(params):
    """A function that makes scenes of tracks (lists of detections)."""

    def build(*people: list[dict], file_starts=(0,), **changes):
        rows, tracks, number = [], [], {}
        for track, detections in enumerate(people):
            for row in detections:
                frame = row["frame"]
                number[frame] = number.get(frame, -1) + 1
                rows.append({**row, "person": number[frame], "score": 0.9, "mask": b""})
                tracks.append({"frame": frame, "person": number[frame], "track": track})
        frames = tables.FRAMES.frame(
            [
                {"frame": frame, "file": sum(frame >= first for first in file_starts) - 1, "file_frame": 0}
                | {"pts": frame, "time_s": frame / FPS, "width": WIDTH, "height": 720, "motion": 1.0, "selected": True}
                for frame in range(max((row["frame"] for row in rows), default=0) + 1)
            ]
        )
        detections = scenes.detections_of(tables.TRACKS.frame(tracks), tables.PERSONS.frame(rows), frames)
        found, members = scenes.build_scenes(detections, **{**params["scenes"], "min_crossing": 0.3, **changes})
        return tables.SCENES.check(found), tables.SCENE_DETECTIONS.check(members)

    return build


ACROSS = move((4, 2.5))
RUNNER = person(ACROSS)
BACK = person(WIDTH - ACROSS)
PEOPLE = {
    "empty": ([], []),
    "runner": ([RUNNER], ["right"]),
    "runner to the left": ([BACK], ["left"]),
    "sprinter": ([person(move((2, 4.5)))], []),
    "walker": ([person(move((9, 0.8)))], []),
    "stands": ([person(move((3, 0.0), start=600))], []),
    "fidgets": ([person(600 + 40 * np.sin(np.arange(120)))], []),
    "far away": ([person(ACROSS, height=30.0)], []),
    "lies": ([person(ACROSS, height=60.0)], []),
    "stops in mid-picture": ([person(move((1.5, 2.5), (2, 0.0)))], ["right"]),
    "stops early": ([person(move((0.6, 2.5), (2, 0.0)))], []),
    "stops and walks on": ([person(move((0.7, 2.5), (1, 0.0), (6, 0.8)))], []),
    "starts from a crouch": (
        [person(move((2, 0.0), (0.3, 1.0), (2.2, 3.5), start=60), height=[90.0] * 60 + [BODY] * 75)],
        ["right"],
    ),
    "out and back": ([person(move((2.3, 2.5), (1.8, -2.5)))], ["right"]),
    "flash": ([person(ACROSS)[40:50]], []),
    "two cross": ([RUNNER, BACK], ["right", "left"]),
    "two follow": ([RUNNER, person(ACROSS, start=40)], ["right", "right"]),
    "twice": ([RUNNER, person(ACROSS, start=400)], ["right", "right"]),
}


@pytest.mark.parametrize("people, directions", PEOPLE.values(), ids=PEOPLE)
def test_who_makes_a_scene(built, people, directions):
    found, members = built(*people)
    assert found["direction"].to_list() == directions
    assert found["scene"].to_list() == list(range(found.height)) and found["start_s"].is_sorted()
    assert set(members["scene"]) == set(found["scene"])


def test_a_scene_is_measured(built):
    found, members = built(person(ACROSS, start=30, cadence=176.0))
    row = found.row(0, named=True)
    assert row["speed"] == pytest.approx(2.5, rel=0.02) and row["cadence"] == pytest.approx(176, rel=0.03)
    assert row["start_s"] == pytest.approx(row["first_frame"] / FPS) and row["end_s"] == row["last_frame"] / FPS
    assert members["frame"].to_list() == list(range(row["first_frame"], row["last_frame"] + 1))
    edges = members.filter(~pl.col("inside"))["frame"]
    assert {row["first_frame"], row["last_frame"]} <= set(edges) and 2 < len(edges) < 20


@pytest.mark.parametrize(
    "legs, first_s, last_s",
    [
        ([(2.0, 0.0), (2.5, 2.5)], 2.0, 4.5),
        ([(2.5, 2.5), (2.0, 0.0)], 0.0, 2.5),
        ([(1.0, 0.7), (1.6, 2.5), (1.0, 0.7)], 1.0, 2.6),
        ([(2.2, 2.5), (1.5, -2.5)], 0.0, 2.2),
    ],
    ids=["starts", "stops", "walks before and after", "turns"],
)
def test_a_scene_is_the_running_part(built, legs, first_s, last_s):
    found, _ = built(person(move(*legs, start=100)))
    assert found.height == 1
    assert found.select("start_s", "end_s").row(0) == pytest.approx((first_s, last_s), abs=0.3)


BROKEN = {
    "whole": ([RUNNER], 1),
    "broken once": (without(RUNNER, 40, 48), 1),
    "broken twice": ([*without(RUNNER, 35, 40)[:1], *without(without(RUNNER, 35, 40)[1], 60, 66)], 1),
    "too long": (without(person(move((6, 1.5))), 60, 84), 2),
    "another place": ([person(ACROSS)[:45], person(WIDTH - ACROSS, start=50)], 2),
    "another way": ([person(move((1.6, 2.5))), person(move((2, -2.5), start=760), start=52)], 2),
    "crosses a broken one": ([*without(RUNNER, 40, 46), BACK], 2),
    "two cross and both break": ([*without(RUNNER, 44, 52), *without(BACK, 44, 52)], 2),
}


@pytest.mark.parametrize("people, count", BROKEN.values(), ids=BROKEN)
def test_broken_tracks_are_mended_and_strangers_are_not(built, people, count):
    found, members = built(*people)
    assert found.height == count
    for rows in members.partition_by("scene"):
        x = (rows["x1"] + rows["x2"]).to_numpy() / 2
        assert np.all(np.diff(x) > -12) or np.all(np.diff(x) < 12)


def shifted(detections: list[dict], px: float, first: int = 0, last: int = 10**6) -> list[dict]:
    """The detections of frames first to last, moved to the right."""
    return [{**row, "x1": row["x1"] + px, "x2": row["x2"] + px} for row in detections if first <= row["frame"] < last]


@pytest.mark.parametrize(
    "tracks, count",
    [
        ([RUNNER, shifted(RUNNER, 2, 20, 70)], 1),
        ([shifted(RUNNER, 0, 0, 60), shifted(RUNNER, 2, 40)], 1),
        ([shifted(RUNNER, 0, 0, 50), shifted(RUNNER, 2, 30, 80), shifted(RUNNER, 0, 60)], 1),
        ([RUNNER, shifted(RUNNER, 40)], 2),
        ([RUNNER, BACK], 2),
    ],
    ids=["within", "in turn", "three in turn", "beside each other", "crossing"],
)
def test_a_person_found_twice_is_one_scene(built, tracks, count):
    found, members = built(*tracks)
    assert found.height == count
    assert not members.select("scene", "frame").is_duplicated().any()
    if count == 1:
        assert found.select("first_frame", "last_frame").row(0) == (RUNNER[0]["frame"], RUNNER[-1]["frame"])


def test_how_much_of_a_box_is_the_runner_s_alone(built):
    _, members = built(RUNNER, shifted(RUNNER, 40), person(ACROSS, start=200))
    apart = [part["apart"].to_numpy() for part in members.sort("scene", "frame").partition_by("scene")]
    middle = slice(20, 60)  # whole boxes
    for scene in (0, 1):
        rows = members.filter(pl.col("scene") == scene).sort("frame")[middle]
        share = 40 / (rows["x2"] - rows["x1"]).to_numpy()
        np.testing.assert_allclose(apart[scene][middle], share, rtol=0.2)
    assert (apart[2] == 1).all()


@pytest.mark.parametrize("behind_px, merged", [(30, True), (150, False)])
def test_two_are_in_one_box_where_one_is_missed_but_heading_through_it(built, behind_px, merged):
    before, after = without(RUNNER, 45, 60)
    found, members = built(before + after, shifted(RUNNER, behind_px))
    other = members.filter(pl.col("scene") == 1).sort("frame")
    missed = other["frame"].is_between(45, 59)
    assert found.height == 2
    assert ((other["apart"] == 0) == (missed if merged else False)).all()


@pytest.mark.parametrize("stitch_s, count", [(0.1, 2), (0.7, 1)])
def test_a_larger_stitch_s_mends_more(built, stitch_s, count):
    whole = person(move((6, 1.5)))
    assert built(*without(whole, 70, 80), stitch_s=stitch_s)[0].height == count


def test_clips_are_never_stitched(built):
    parts = without(person(move((6, 1.5))), 70, 76)
    assert built(*parts)[0].height == 1
    assert built(*parts, file_starts=(0, 73))[0].height == 2


@pytest.mark.parametrize(
    "changes, count",
    [
        ({}, 2),
        ({"directions": ["left"]}, 1),
        ({"directions": []}, 0),
        ({"min_crossing": 0.99}, 0),
        ({"min_speed": 3.0}, 0),
        ({"max_speed": 1.5}, 0),
        ({"min_length_s": 9.0}, 0),
        ({"min_height_px": 300}, 0),
        ({"max_aspect": 0.3}, 0),
        ({"min_aspect": 0.9}, 0),
    ],
)
def test_choices(built, changes, count):
    assert built(person(ACROSS[:100]), person(WIDTH - ACROSS[:100]), **changes)[0].height == count


def test_the_log_counts_what_was_dropped(built, caplog):
    with caplog.at_level(logging.INFO, "runner_reid.scenes"):
        built(*(people[0] for people, _ in PEOPLE.values() if people), doubled=1.1)
    assert "scenes; dropped by length 1, by crop shape 2, by not crossing" in caplog.text
    counts = [int(word.strip(";,")) for word in caplog.messages[-1].split() if word.strip(";,").isdigit()]
    assert sum(counts) == sum(bool(people) for people, _ in PEOPLE.values())


@pytest.mark.shared
def test_a_real_runner_makes_one_scene(shared, params):
    """runner_once.mp4 with boxes by background subtraction: one passage."""
    path = shared / "data/videos/passes/runner_once.mp4"
    frames = extract_frames([path], **params["frames"])
    persons = moving_boxes(path, frames)
    tracks = track_runners(frames, persons, score_all(persons), **params["tracking"])
    found, _ = scenes.build_scenes(scenes.detections_of(tracks, persons, frames), **params["scenes"])
    assert found.height == 1 and found["cadence"].is_between(130, 300).all()


def moving_boxes(path, frames: pl.DataFrame) -> pl.DataFrame:
    """PERSONS: the largest thing of each frame that differs from the median picture."""
    pictures = dict(read_frames([path], frames))
    empty = np.median(np.stack(list(pictures.values())[::4]), axis=0)
    rows = []
    for frame, picture in pictures.items():
        changed = (np.abs(picture - empty).max(axis=-1) > 45).astype(np.uint8)
        changed = cv2.morphologyEx(changed, cv2.MORPH_CLOSE, np.ones((25, 9), np.uint8))
        _, _, stats, _ = cv2.connectedComponentsWithStats(changed)
        x, y, width, height, area = max(stats[1:], key=lambda row: row[4], default=(0, 0, 0, 0, 0))
        if area > 800:
            box = {"x1": x, "y1": y, "x2": x + width, "y2": y + height}
            rows.append({"frame": frame, "person": 0, **box, "score": 0.9, "mask": b""})
    return tables.PERSONS.frame(rows)
