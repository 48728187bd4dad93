"""The rendered practice: its bytes, its truth, and whether they agree."""

import itertools

import av
import numpy as np
import polars as pl
import pytest

from runner_reid.errors import InputError
from runner_reid.files import sha256
from runner_reid.masks import decode_mask, encode_mask
from runner_reid.practice import identities_text, mot_text, render_practice
from runner_reid.practice.body import ANKLE_UP, BALL, BONE, DOWN, LegCycle, place, pose
from runner_reid.practice.camera import LIGHTS, View, overlap
from runner_reid.practice.scenery import Scenery
from runner_reid.practice.world import MIN_LAP_S, practice_passages
from runner_reid.tables import TRUTH_PASSES, TRUTH_PERSONS, TRUTH_SHOES

SMALL = {"duration_s": 6, "fps": 15, "width": 480, "height": 270, "runners": 3, "crowd": 1, "sub_frames": 3}
BOXES = ("x1", "y1", "x2", "y2")


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Small videos by (condition, seed): path and truth."""
    folder = tmp_path_factory.mktemp("practice")
    rendered = {}
    for condition, seed in (("day", 1), ("night", 1), ("day", 2)):
        path = folder / f"{condition}_{seed}.mp4"
        rendered[condition, seed] = path, render_practice(path, condition=condition, seed=seed, **SMALL)
    return rendered


def frames_of(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]


@pytest.mark.parametrize("condition", ["day", "night"])
def test_same_arguments_same_bytes(videos, tmp_path, condition):
    path, truth = videos[condition, 1]
    again = render_practice(tmp_path / "again.mp4", condition=condition, seed=1, **SMALL)
    assert sha256(tmp_path / "again.mp4") == sha256(path)
    for name in ("persons", "shoes", "passes"):
        assert getattr(again, name).equals(getattr(truth, name))


def test_seeds_share_no_picture_and_no_actor(videos):
    assert sha256(videos["day", 1][0]) != sha256(videos["day", 2][0])
    looks = [
        {passage.actor.look for passage in practice_passages(seed=seed, duration_s=200, runners=15, crowd=1)}
        for seed in (1, 2, 3)
    ]
    for one, other in itertools.combinations(looks, 2):
        assert not one & other
        assert not {look.shoes for look in one} & {look.shoes for look in other}


def test_same_seed_is_the_same_practice_by_day_and_at_night(videos):
    day, night = videos["day", 1], videos["night", 1]
    columns = ["actor", "direction", "cadence", "shoes", "clothes"]
    assert day[1].passes.select(columns).equals(night[1].passes.select(columns))
    assert np.mean(frames_of(day[0])[0]) > 1.4 * np.mean(frames_of(night[0])[0])


def test_video_has_the_asked_shape(videos):
    with av.open(str(videos["day", 1][0])) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.average_rate) == (480, 270, 15)
        times = [frame.time for frame in container.decode(stream)]
    assert np.allclose(times, np.arange(6 * 15) / 15, atol=1e-3)


@pytest.mark.parametrize("key", [("day", 1), ("night", 1), ("day", 2)])
def test_tables_have_their_shape(videos, key):
    truth = videos[key][1]
    assert TRUTH_PERSONS.check(truth.persons).height > 0
    assert TRUTH_SHOES.check(truth.shoes).height > 0
    assert TRUTH_PASSES.check(truth.passes).height >= 3


@pytest.mark.parametrize("key", [("day", 1), ("night", 1)])
def test_boxes_are_tight_around_masks(videos, key):
    persons = videos[key][1].persons
    for row in persons.iter_rows(named=True):
        box = np.array([row[edge] for edge in BOXES])
        mask = decode_mask(row["mask"], box)
        assert 0 <= box[0] < box[2] <= 480 and 0 <= box[1] < box[3] <= 270
        assert mask.any(axis=1)[[0, -1]].all() and mask.any(axis=0)[[0, -1]].all()
        assert encode_mask(mask) == row["mask"]


def test_masks_of_one_frame_do_not_overlap(videos):
    for _, persons in videos["day", 1][1].persons.group_by("frame"):
        claimed = np.zeros((270, 480), int)
        for row in persons.iter_rows(named=True):
            x1, y1, x2, y2 = (int(row[edge]) for edge in BOXES)
            claimed[y1:y2, x1:x2] += decode_mask(row["mask"], np.array([x1, y1, x2, y2]))
        assert claimed.max() <= 1


def test_masks_lie_on_what_moved(videos):
    """Pixels inside the masks differ from the empty picture far more often than pixels well outside."""
    path, truth = videos["day", 1]
    frames = frames_of(path)
    empty = np.median(np.stack(frames[::3]), axis=0)
    inside, outside = [], []
    for number in truth.persons["frame"].unique()[::10]:
        mask = np.zeros((270, 480), bool)
        for row in truth.persons.filter(pl.col("frame") == number).iter_rows(named=True):
            x1, y1, x2, y2 = (int(row[edge]) for edge in BOXES)
            mask[y1:y2, x1:x2] |= decode_mask(row["mask"], np.array([x1, y1, x2, y2]))
        changed = np.abs(frames[number] - empty).max(axis=-1) > 20
        inside.append(changed[mask].mean())
        outside.append(changed[~mask].mean())
    assert np.mean(inside) > 0.75
    assert np.mean(outside) < 0.05


def test_shoes_belong_to_persons_and_lie_in_their_boxes(videos):
    truth = videos["day", 1][1]
    joined = truth.shoes.join(truth.persons, on=["frame", "passage"], how="left", suffix="_body")
    assert joined["x1_body"].null_count() == 0
    assert (joined["x1"] >= joined["x1_body"]).all() and (joined["x2"] <= joined["x2_body"]).all()
    assert (joined["y1"] >= joined["y1_body"]).all() and (joined["y2"] <= joined["y2_body"]).all()
    assert ((joined["x2"] - joined["x1"]) >= 5).all() and (joined["visible"] >= 0.3).all()


@pytest.mark.parametrize("key", [("day", 1), ("night", 1), ("day", 2)])
def test_passes_agree_with_persons(videos, key):
    truth = videos[key][1]
    assert truth.passes["passage"].to_list() == list(range(truth.passes.height))
    for row in truth.passes.iter_rows(named=True):
        persons = truth.persons.filter(pl.col("passage") == row["passage"])
        assert persons["frame"].min() == row["first_frame"] and persons["frame"].max() == row["last_frame"]
        assert set(persons["actor"]) == {row["actor"]} and set(persons["runner"]) == {row["runner"]}
        assert row["runner"] == row["actor"].startswith("runner")
        assert row["start_s"] == pytest.approx(row["first_frame"] / 15)
        if row["runner"]:
            assert row["direction"] == "right" and 155 < row["cadence"] < 200


def test_cadence_is_the_period_of_the_width_of_the_mask(tmp_path):
    truth = render_practice(
        tmp_path / "one.mp4", condition="day", seed=5, duration_s=5, fps=30, width=480, height=270, runners=1, crowd=1,
        sub_frames=1,
    )  # fmt: skip
    passage = truth.passes.filter(pl.col("runner")).row(0, named=True)
    persons = truth.persons.filter((pl.col("passage") == passage["passage"]) & (pl.col("visible") > 0.99))
    width_px = (persons["x2"] - persons["x1"]).to_numpy()
    time_s = persons["frame"].to_numpy() / 30
    candidates_spm = np.arange(120.0, 240.0)
    wave = np.exp(2j * np.pi * np.outer(candidates_spm / 60, time_s))
    spectrum = np.abs(wave @ (width_px - width_px.mean()))
    assert candidates_spm[spectrum.argmax()] == pytest.approx(passage["cadence"], rel=0.06)


@pytest.mark.parametrize("seed", [1, 2, 7])
def test_a_full_practice_is_full_but_not_crowded(seed):
    passages = practice_passages(seed=seed, duration_s=200, runners=15, crowd=1)
    runners = [passage for passage in passages if passage.actor.runner]
    laps = {}
    for passage in runners:
        laps.setdefault(passage.actor.name, []).append(passage.middle_s)
    assert len(laps) >= 14 and len(runners) >= 60
    assert all(np.diff(sorted(times)).min() > MIN_LAP_S for times in laps.values() if len(times) > 1)
    assert len({len(times) for times in laps.values()}) > 1
    assert {"walker1", "coach1", "sprinter1", "crosser1"} <= {passage.actor.name for passage in passages}
    busy = np.zeros(2000, bool)
    for passage in passages:
        first_s, last_s = passage.span_s(6.0)
        busy[max(0, int(10 * first_s)) : max(0, int(10 * last_s))] = True
    assert 0.55 < busy.mean() < 0.78


def test_some_runners_differ_only_by_their_shoes_and_some_share_them():
    passages = practice_passages(seed=1, duration_s=200, runners=15, crowd=1)
    looks = {passage.actor.name: passage.actor.look for passage in passages if passage.actor.runner}
    pairs = list(itertools.combinations(looks.values(), 2))
    assert sum(one.clothes == two.clothes and one.shoes != two.shoes for one, two in pairs) >= 2
    assert sum(one.clothes != two.clothes and one.shoes == two.shoes for one, two in pairs) >= 2


@pytest.mark.parametrize("runners", [0, 1])
def test_few_runners(tmp_path, runners):
    truth = render_practice(tmp_path / "few.mp4", condition="night", seed=3, **{**SMALL, "runners": runners})
    assert len(frames_of(tmp_path / "few.mp4")) == 90
    assert truth.passes["runner"].sum() == runners
    assert (truth.persons.height == 0) == (runners == 0)
    assert TRUTH_SHOES.check(truth.shoes).height == 0 or runners


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"condition": "dusk"}, "day, night"),
        ({"width": 481}, "even"),
        ({"duration_s": 0}, "positive"),
        ({"runners": -1}, "at least 0"),
    ],
)
def test_what_cannot_be_rendered_is_said(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        render_practice(tmp_path / "never.mp4", **{"condition": "day", "seed": 1, **SMALL, **change})
    assert not list(tmp_path.iterdir())


def test_mot_text_goes_there_and_back(videos):
    persons = videos["day", 1][1].persons
    lines = [line.split(",") for line in mot_text(persons).splitlines()]
    assert all(line[7:] == ["-1", "-1", "-1"] for line in lines)
    read = np.array([[float(value) for value in line[:7]] for line in lines])
    read[:, 4:6] += read[:, 2:4]
    read[:, :2] -= 1
    expected = persons.select("frame", "passage", *BOXES, pl.col("runner").cast(pl.Int8)).to_numpy()
    assert np.allclose(read, expected)


def test_identities_text_names_every_track(videos):
    passes = videos["day", 1][1].passes
    header, *lines = identities_text(passes).splitlines()
    assert header == "track\trunner"
    assert [line.split("\t") for line in lines] == [
        [str(passage + 1), actor] for passage, actor in passes.select("passage", "actor").iter_rows()
    ]


def test_feet_do_not_skate_and_knees_bend_forward():
    for passage in practice_passages(seed=1, duration_s=200, runners=15, crowd=1):
        actor, speed_mps = passage.actor, abs(passage.speed_mps)
        if actor.gait.kind == "stand":
            continue
        legs = LegCycle(actor.build, actor.gait, speed_mps)
        phase = np.linspace(0.3 * legs.duty, 0.9 * legs.duty, 20)
        origin, angle = pose(phase, phase, build=actor.build, gait=actor.gait, speed_mps=speed_mps)
        height_m = actor.build.height_m
        foot = BONE["near_foot"]
        ball = place(origin[:, foot], angle[:, foot], ANKLE_UP * height_m, BALL * height_m)
        on_ground_m = ball[:, 0] + speed_mps * phase * 120 / actor.gait.cadence_spm
        assert np.ptp(on_ground_m) < 0.05
        assert np.abs(ball[:, 1]).max() < 0.05
        everywhere = np.linspace(0, 1, 60)
        _, angle = pose(everywhere, everywhere, build=actor.build, gait=actor.gait, speed_mps=speed_mps)
        assert (angle[:, BONE["near_thigh"]] >= angle[:, BONE["near_shank"]] - 1e-6).all()
        assert np.ptp(angle[:, BONE["near_thigh"]] - DOWN) < 2.2


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (0, 0, (slice(0, 4), slice(0, 5), slice(0, 4), slice(0, 5))),
        (-2, 3, (slice(3, 6), slice(0, 3), slice(0, 3), slice(2, 5))),
        (20, 20, (slice(6, 6), slice(9, 9), slice(-14, -14), slice(-11, -11))),
    ],
)
def test_overlap(x, y, expected):
    assert overlap(x, y, (4, 5), (6, 9)) == expected


@pytest.mark.parametrize("condition", ["day", "night"])
def test_the_wind_moves_leaves_and_nothing_on_the_ground(condition):
    scenery = Scenery(seed=1, view=View(480, 270), light=LIGHTS[condition])
    change = np.abs(scenery.at(0.0).astype(float) - scenery.at(0.6)).mean(axis=-1)
    assert 0.05 < change[:140].mean() < 6
    assert change[180:].max() == 0
