"""Gait: the step period of made-up widths, and sequences that start at the same phase."""

import itertools

import numpy as np
import polars as pl
import pytest

from runner_reid import gait, tables

SEARCH = {"min_cadence": 130, "max_cadence": 300, "min_strength": 0.2}


def width_px(time_s, cadence: float, *, noise: float = 0.0, seed: int = 0) -> np.ndarray:
    """The width of a runner's crop: widest once per step, left and right steps a little different, growing slowly."""
    step = np.asarray(time_s) * cadence / 60
    opening = 18 * np.abs(np.cos(np.pi * step)) + 3 * np.cos(np.pi * step)
    return 45 + opening + 2 * np.asarray(time_s) + np.random.default_rng(seed).normal(0, noise, len(step))


def times(fps: float, length_s: float, missing: float, seed: int = 0) -> np.ndarray:
    time_s = np.arange(0, length_s, 1 / fps)
    return time_s[np.random.default_rng(seed).random(len(time_s)) >= missing]


TABLE = list(itertools.product((25, 30, 60), (1.5, 3.0), (150, 172, 190, 215), (0.0, 2.0), (0.0, 0.1)))


def test_the_cadence_is_right():
    errors = []
    for seed, (fps, length_s, cadence, noise, missing) in enumerate(TABLE):
        time_s = times(fps, length_s, missing, seed)
        period = gait.step_period(time_s, width_px(time_s, cadence, noise=noise, seed=seed), **SEARCH)
        errors.append(abs(60 / period / cadence - 1))
    errors = np.nan_to_num(np.array(errors), nan=1.0)
    assert np.median(errors) < 0.01 and np.mean(errors < 0.03) > 0.9, sorted(zip(errors, TABLE, strict=True))[-9:]


@pytest.mark.parametrize("fps", [25, 30, 60])
@pytest.mark.parametrize("cadence", [140, 180, 240])
def test_without_noise_it_is_exact_to_a_fraction_of_a_frame(fps, cadence):
    time_s = times(fps, 3.0, 0.0)
    assert 60 / gait.step_period(time_s, width_px(time_s, cadence), **SEARCH) == pytest.approx(cadence, rel=0.01)


@pytest.mark.parametrize(
    "time_s, width",
    [
        ([], []),
        ([0.0], [40.0]),
        ([0.0, 0.1, 0.2], [40.0, 50.0, 40.0]),
        (times(30, 2.0, 0.0), np.full(60, 40.0)),
        (times(30, 2.0, 0.0), np.linspace(30, 60, 60)),
        (times(30, 2.0, 0.0), width_px(times(30, 2.0, 0.0), 60)),
        (times(30, 0.2, 0.0), width_px(times(30, 0.2, 0.0), 180)),
    ],
    ids=["empty", "one frame", "three frames", "flat", "grows", "too slow", "shorter than a step"],
)
def test_no_period_is_nan(time_s, width):
    assert np.isnan(gait.step_period(np.array(time_s), np.array(width), **SEARCH))


def test_a_larger_min_strength_gives_nan_more_often():
    found = []
    for min_strength in (0.0, 0.4, 0.9):
        periods = [
            gait.step_period(
                times(30, 2.0, 0.1),
                width_px(times(30, 2.0, 0.1), 180, noise=6.0, seed=seed),
                **SEARCH | {"min_strength": min_strength},
            )
            for seed in range(20)
        ]
        found.append(np.isfinite(periods).sum())
    assert found[0] > found[1] > found[2]


# --- sequences -------------------------------------------------------------------------------------------------------

CHOICES = {"steps": 2, "max_frames": 47, "default_cadence": 180}


def scenes_of(passages: list[dict]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """SCENE_DETECTIONS and SCENES of passages: time_s, width, inside, area_px, apart, cadence."""
    rows, scenes = [], []
    for scene, passage in enumerate(passages):
        for place, (time_s, width) in enumerate(zip(passage["time_s"], passage["width"], strict=True)):
            box = {"x1": 100.0 - width / 2, "y1": 0.0, "x2": 100.0 + width / 2, "y2": 100.0}
            inside = passage.get("inside", lambda time_s: True)(time_s)
            keys = {"scene": scene, "frame": 1000 * scene + place, "person": 0, "time_s": time_s}
            area_px = int(passage.get("area_px", lambda time_s: 900)(time_s))
            apart = passage.get("apart", lambda time_s: 1.0)(time_s)
            rows.append({**keys, **box, "inside": inside, "area_px": area_px, "apart": apart})
        ends = {"start_s": passage["time_s"][0], "end_s": passage["time_s"][-1]}
        scenes.append(
            {"scene": scene, "track": scene, "first_frame": 1000 * scene, "last_frame": rows[-1]["frame"], **ends}
            | {"direction": "right", "speed": 3.0, "cadence": passage["cadence"]}
        )
    return tables.SCENE_DETECTIONS.frame(rows), tables.SCENES.frame(scenes)


def passage(fps=60, length_s=2.0, cadence=180.0, shift_s=0.0, noise=0.0, missing=0.0, **more) -> dict:
    """A passage whose widest moment is at -shift_s, and a whole number of steps from it."""
    time_s = times(fps, length_s, missing)
    return {"time_s": time_s, "width": width_px(time_s + shift_s, cadence, noise=noise), "cadence": cadence, **more}


def phases(sequences: pl.DataFrame, passages: list[dict], shifts_s: list[float]) -> np.ndarray:
    """Where in a step each sequence starts, -0.5..0.5."""
    first = sequences.filter(pl.col("position") == 0).sort("scene")["frame"].to_numpy() % 1000
    start_s = np.array([given["time_s"][place] for given, place in zip(passages, first, strict=True)])
    step = (start_s + shifts_s) * np.array([given["cadence"] for given in passages]) / 60
    return (step + 0.5) % 1 - 0.5


@pytest.mark.parametrize("fps, most", [(25, 0.07), (30, 0.06), (60, 0.035)])
@pytest.mark.parametrize("given", [{}, {"noise": 2.0}, {"missing": 0.1}, {"cadence": 150.0}, {"cadence": 215.0}])
def test_shifted_copies_start_at_the_same_phase(fps, most, given):
    """A sequence starts at the first frame after the widest moment: its phase lies within a frame of the others'."""
    shifts_s = np.linspace(0, 0.6, 13)
    passages = [passage(fps=fps, shift_s=shift_s, **given) for shift_s in shifts_s]
    sequences = tables.SEQUENCES.check(gait.unify_gait_periods(*scenes_of(passages), **CHOICES))
    found = phases(sequences, passages, shifts_s)
    frame = given.get("cadence", 180.0) / 60 / fps
    spread = np.abs(found - np.median(found))
    assert spread.max() <= (2 if given.get("missing") else 1) * frame + most
    lengths = sequences.group_by("scene").len()["len"]
    expected = 2 * 60 / given.get("cadence", 180.0) * fps * (1 - given.get("missing", 0))
    assert (lengths - expected).abs().max() <= (5 if given.get("missing") else 1)


@pytest.mark.parametrize("edge_s", [0.1, 0.2, 0.3])
@pytest.mark.parametrize("length_s", [1.4, 2.0])
def test_the_edges_of_the_picture_do_not_move_the_phase(edge_s, length_s):
    """A runner who enters and leaves is cut off by the picture's edges: those widths say nothing about the legs."""
    shifts_s = np.linspace(0, 0.6, 13)
    passages = [
        passage(length_s=length_s, shift_s=shift_s, inside=lambda time_s: edge_s < time_s < length_s - edge_s)
        for shift_s in shifts_s
    ]
    for given in passages:
        visible = np.minimum(given["time_s"], length_s - given["time_s"]) / edge_s
        given["width"] = given["width"] * np.clip(visible, 0.05, 1)
    sequences = gait.unify_gait_periods(*scenes_of(passages), **CHOICES)
    assert np.abs(phases(sequences, passages, shifts_s)).max() < 0.06
    assert sequences.group_by("scene").len()["len"].is_between(39, 41).all()


def test_no_scenes_no_sequences():
    assert gait.unify_gait_periods(*scenes_of([]), **CHOICES).equals(tables.SEQUENCES.empty())


@pytest.mark.parametrize(
    "given, max_frames, frames",
    [
        ({"length_s": 0.02}, 47, 2),
        ({"length_s": 0.5}, 47, 30),
        ({"length_s": 0.6667}, 47, 40),
        ({"length_s": 0.7}, 47, 40),
        ({"length_s": 3.0}, 47, 40),
        ({"length_s": 3.0}, 40, 40),
        ({"length_s": 3.0}, 7, 7),
        ({"length_s": 3.0}, 1, 1),
        ({"length_s": 3.0, "fps": 240}, 47, 47),
        ({"length_s": 0.5}, 10, 10),
    ],
)
def test_a_sequence_holds_two_steps_or_what_there_is(given, max_frames, frames):
    found = gait.unify_gait_periods(*scenes_of([passage(**given)]), **{**CHOICES, "max_frames": max_frames})
    tables.SEQUENCES.check(found)
    assert found["position"].to_list() == list(range(found.height))
    assert abs(found.height - frames) <= (1 if frames > 10 and frames != max_frames else 0)
    assert found["frame"].is_sorted() and found["frame"].n_unique() == found.height


def test_thinning_is_even():
    found = gait.unify_gait_periods(*scenes_of([passage(fps=240)]), **{**CHOICES, "max_frames": 20})
    assert np.ptp(np.diff(found["frame"])) <= 1


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_more_steps_are_longer(steps):
    found = gait.unify_gait_periods(*scenes_of([passage()]), **{**CHOICES, "steps": steps, "max_frames": 999})
    assert found.height == pytest.approx(steps * 20, abs=1)


def test_an_unknown_cadence_takes_the_default():
    unknown = passage() | {"cadence": float("nan")}
    found = gait.unify_gait_periods(*scenes_of([unknown]), **{**CHOICES, "default_cadence": 120})
    assert found.height == pytest.approx(60, abs=1) or found.height == 47


@pytest.mark.parametrize("hidden", ["first", "second"])
def test_frames_that_show_the_runner_are_preferred(hidden):
    shows = {"first": lambda s: s > 0.9, "second": lambda s: s < 1.1}[hidden]
    given = passage(length_s=2.0, area_px=lambda s: 900 + 90 * np.sin(20 * s) if shows(s) else 400)
    found = gait.unify_gait_periods(*scenes_of([given]), **CHOICES)
    assert all(shows(s) for s in given["time_s"][found["frame"].to_numpy()])


@pytest.mark.parametrize("crowd", ["first", "second"])
@pytest.mark.parametrize("apart", [0.0, 0.3], ids=["two in one box", "beside another"])
def test_frames_in_which_the_runner_is_alone_are_preferred(crowd, apart):
    """Though two in one box are larger than either."""
    alone = {"first": lambda s: s > 0.9, "second": lambda s: s < 1.1}[crowd]
    larger = {"area_px": lambda s: 900 if alone(s) else 1500, "apart": lambda s: 1.0 if alone(s) else apart}
    given = passage(length_s=2.0, **larger)
    found = gait.unify_gait_periods(*scenes_of([given]), **CHOICES)
    assert all(alone(s) for s in given["time_s"][found["frame"].to_numpy()])


@pytest.mark.parametrize("alone_s, left_out", [(0.1, True), (0.03, False)])
def test_frames_of_two_in_one_box_are_left_out_unless_there_are_hardly_others(alone_s, left_out):
    given = passage(length_s=0.6, apart=lambda s: float(s < alone_s))
    found = gait.unify_gait_periods(*scenes_of([given]), **CHOICES)
    last_s = given["time_s"][found["frame"].to_numpy()].max()
    assert (last_s < alone_s) == left_out


@pytest.mark.parametrize("edge", ["left", "right", "none"])
def test_whole_frames_near_the_middle_are_preferred(edge):
    inside = {"left": lambda s: s > 0.9, "right": lambda s: s < 1.1, "none": lambda s: True}[edge]
    given = passage(length_s=2.0, inside=inside)
    found = gait.unify_gait_periods(*scenes_of([given]), **CHOICES)
    seconds = given["time_s"][found["frame"].to_numpy()]
    assert all(inside(s) for s in seconds)
    if edge == "none":
        assert abs(seconds.mean() - 1.0) <= 60 / 180 / 2 + 1 / 60
