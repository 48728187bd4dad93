"""Scores, against plain references, tiny cases worked by hand, and the published figures."""

import json
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner_reid.errors import InputError
from runner_reid.evaluation import (
    identity_scores,
    match_scenes,
    paper_scores,
    scene_labels,
    scene_scores,
    strict_scores,
    tracking_scores,
)
from runner_reid.labels import BOXES, PASSES, read_labels
from runner_reid.similarity import compare, fuse

MIRROR = Path(os.environ.get("RUNNER_REID_MIRROR", Path(__file__).parents[3] / "shared")) / "data"
NIGHT = MIRROR / "published" / "night"
CAMPUS = MIRROR / "tracking" / "TUD-Campus" / "gt" / "gt.txt"
NON_RUNNERS = ["rugby", "sprinter"]
SCENES = {"scene": pl.Int32, "start_s": pl.Float64, "end_s": pl.Float64}
TRACKED = {"frame": pl.Int32, "track": pl.Int32} | dict.fromkeys(("x1", "y1", "x2", "y2"), pl.Float32)
SCENE_BOXES = {"scene": pl.Int32, "frame": pl.Int32} | dict.fromkeys(("x1", "y1", "x2", "y2"), pl.Float32)


def table(rows, schema) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=schema, orient="row")


def all_but_self(n: int) -> np.ndarray:
    return ~np.eye(n, dtype=bool)


# Scenes and passages


@pytest.mark.parametrize(
    ("scenes", "passes", "match_iou", "expected"),
    [
        pytest.param([], [], 0.5, {}, id="empty"),
        pytest.param([], [(0, "a", 0, 9)], 0.5, {}, id="nothing found"),
        pytest.param([(0, 0, 9)], [], 0.5, {}, id="nothing labelled"),
        pytest.param([(0, 4, 6)], [(0, "a", 0, 9)], 1.0, {0: 0}, id="a label may be a whole clip"),
        pytest.param([(0, 8, 10)], [(0, "a", 0, 9)], 0.5, {0: 0}, id="half of the shorter"),
        pytest.param([(0, 8, 10)], [(0, "a", 0, 9)], 0.51, {}, id="less than asked"),
        pytest.param([(0, 9, 10)], [(0, "a", 0, 9)], 0.0, {}, id="no moment in common never matches"),
        pytest.param([(0, 1, 2), (5, 3, 8)], [(3, "a", 0, 9)], 0.5, {5: 3}, id="one to one, the longer wins"),
        pytest.param([(0, 0, 4), (1, 3, 7)], [(0, "a", 2, 7), (1, "b", 0, 5)], 0.5, {0: 1, 1: 0}, id="best together"),
    ],
)
def test_match_scenes_by_time(scenes, passes, match_iou, expected):
    matches = match_scenes(
        table(scenes, SCENES), table(passes, PASSES), scene_boxes=None, label_boxes=None, match_iou=match_iou
    )
    assert matches.schema == {"scene": pl.Int32, "passage": pl.Int32}
    assert dict(matches.iter_rows()) == expected


def strip(number, frames, x) -> list[tuple]:
    return [(number, frame, x, 0, x + 10, 10) for frame in frames]


@pytest.mark.parametrize(
    ("scenes", "passes", "expected"),
    [
        pytest.param([], [], {}, id="empty"),
        pytest.param([(0, range(10), 0)], [(4, range(10), 0)], {0: 4}, id="same place"),
        pytest.param([(0, range(10), 0)], [(4, range(10), 6)], {0: 4}, id="box IoU 4/16 is half of what time needs"),
        pytest.param([(0, range(10), 0)], [(4, range(10), 6.1)], {}, id="box IoU below"),
        pytest.param([(0, range(3, 7), 0)], [(4, range(10), 0)], {}, id="temporal IoU 3/9: with boxes IoU counts"),
        pytest.param(
            [(0, range(10), 0), (1, range(10), 30)],
            [(4, range(10), 31), (5, range(10), 1)],
            {0: 5, 1: 4},
            id="side by side",
        ),
    ],
)
def test_match_scenes_by_boxes(scenes, passes, expected):
    def ends(rows):
        return [(number, frames[0], frames[-1]) for number, frames, _ in rows]

    labelled = [box for row in passes for box in strip(*row)]
    matches = match_scenes(
        table(ends(scenes), SCENES),
        table([(number, "a", *times) for number, *times in ends(passes)], PASSES),
        scene_boxes=table([box for row in scenes for box in strip(*row)], SCENE_BOXES),
        label_boxes=table([(frame, number, *xyxy, True) for number, frame, *xyxy in labelled], BOXES),
        match_iou=0.5,
    )
    assert dict(matches.iter_rows()) == expected


@pytest.mark.parametrize(
    ("n", "names", "matches", "labels", "scores"),
    [
        pytest.param(0, [], {}, [], (0, 0, 0, 0, 0, None, None), id="empty"),
        pytest.param(0, ["a"], {}, [], (0, 1, 0, 1, 0, 0.0, None), id="nothing found"),
        pytest.param(2, [], {}, ["", ""], (2, 0, 0, 0, 2, None, 0.0), id="nothing labelled"),
        pytest.param(
            4,
            ["ann", "rugby1", "ann", "bob", "eve"],
            {0: 2, 1: 1, 3: 3},
            ["ann", "rugby1", "", "bob"],
            (4, 4, 2, 2, 2, 0.5, 0.5),
            id="a non-runner is spurious and keeps its name",
        ),
    ],
)
def test_scene_labels_and_scores(n, names, matches, labels, scores):
    passes = table([(number, name, 0, 1) for number, name in enumerate(names)], PASSES)
    scenes = table([(number, 0, 1) for number in range(n)], SCENES)
    found = scene_labels(scenes, passes, table(list(matches.items()), {"scene": pl.Int32, "passage": pl.Int32}))
    assert found.dtype.kind == "U"
    assert found.tolist() == labels
    result = scene_scores(found, passes, non_runners=NON_RUNNERS)
    keys = ("found", "labelled", "matched", "missed", "spurious", "recall", "precision")
    assert result == dict(zip(keys, scores, strict=True))


# Rankings


def slow_paper(similarity, allowed, labels, appearances) -> dict:
    """S0's protocol, one query at a time (reference/methods.md section 5)."""
    precisions, firsts, fives = [], [], []
    for query, name in enumerate(labels):
        row = [similarity[query][j] if allowed[query][j] else 0.0 for j in range(len(labels))]
        names = [labels[j] for j in np.argsort(np.array(row))[::-1]]
        if not name.startswith("sprinter"):
            firsts.append(name in names[:1])
            fives.append(name in names[:5])
        if not name.startswith(("sprinter", "rugby")):
            wanted, hits, total = appearances[name] - 1, 0, 0.0
            for rank, other in enumerate(names, 1):
                if other == name and hits < wanted:
                    hits += 1
                    total += hits / rank
            precisions.append(total / wanted)
    return {"mAP": precisions, "rank1": firsts, "rank5": fives}


def slow_strict(similarity, allowed, labels) -> dict:
    precisions, firsts, fives, worst = [], [], [], []
    for query, name in enumerate(labels):
        gallery = [j for j in range(len(labels)) if allowed[query][j] and j != query]
        gallery.sort(key=lambda j: -similarity[query][j])
        hits = [rank for rank, j in enumerate(gallery, 1) if labels[j] == name]
        if hits and name and not name.startswith(("sprinter", "rugby")):
            precisions.append(np.mean([count / rank for count, rank in enumerate(hits, 1)]))
            firsts.append(hits[0] <= 1)
            fives.append(hits[0] <= 5)
            worst.append(len(hits) / hits[-1])
    return {"mAP": precisions, "rank1": firsts, "rank5": fives, "mINP": worst}


@st.composite
def rankings(draw):
    n = draw(st.integers(0, 14))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    similarity = rng.choice([rng.random((n, n)), rng.integers(-2, 4, (n, n)) / 4])
    allowed = rng.random((n, n)) < draw(st.sampled_from([0.5, 0.9, 1.0]))
    return similarity, allowed & allowed.T, rng.choice(["ann", "bob", "eve", "rugby1", "sprinter1"], n)


def agrees(scores: dict, slow: dict) -> None:
    for name, values in slow.items():
        assert scores[name] == (pytest.approx(np.mean(values)) if values else None), name


@settings(max_examples=150, deadline=None)
@given(rankings())
def test_paper_scores_are_the_plain_protocol(ranking):
    appearances = {"ann": 3, "bob": 2, "eve": 9}
    scores = paper_scores(*ranking, appearances, map_skips=NON_RUNNERS, rank_skips=["sprinter"])
    agrees(scores, slow_paper(*ranking, appearances))
    json.dumps(scores, allow_nan=False)


@settings(max_examples=150, deadline=None)
@given(rankings())
def test_strict_scores_are_the_plain_protocol(ranking):
    scores = strict_scores(*ranking, non_runners=NON_RUNNERS, bootstrap=20, seed=0)
    slow = slow_strict(*ranking)
    agrees(scores, slow)
    assert scores["queries"] == len(slow["mAP"])
    if slow["mAP"]:
        low, high = scores["mAP_ci95"]
        assert 0 <= low <= high <= 1
    json.dumps(scores, allow_nan=False)


def test_paper_scores_without_scenes():
    scores = paper_scores(np.zeros((0, 0)), all_but_self(0), [], {}, map_skips=[], rank_skips=[])
    nothing = dict.fromkeys(("mAP", "rank1", "rank5", "rank10"))
    assert scores == nothing | {"queries": 0, "ceiling": {"mAP": None, "rank1": None}}


def test_paper_scores_by_hand():
    """The query comes before what is less alike than 0, and the passage never found costs a half."""
    similarity = np.array([[1, -0.2, 0.9], [-0.2, 1, -0.1], [0.9, -0.1, 1]])
    labels = np.array(["ann", "ann", ""])
    scores = paper_scores(similarity, all_but_self(3), labels, {"ann": 3}, map_skips=[], rank_skips=[])
    assert scores["mAP"] == pytest.approx(((1 / 2 + 2 / 3) / 2 + (1 / 1 + 2 / 3) / 2) / 2)
    assert (scores["rank1"], scores["rank5"], scores["queries"]) == (0.5, 1.0, 2)
    assert scores["ceiling"] == {"mAP": pytest.approx((1 + 2 / 3 + 1 + 2 / 3) / 4), "rank1": 1.0}


def test_a_name_that_appears_once_has_no_average_precision():
    scores = paper_scores(np.ones((1, 1)), all_but_self(1), ["ann"], {"ann": 1}, map_skips=[], rank_skips=[])
    assert (scores["mAP"], scores["queries"]) == (None, 0)


def test_paper_scores_name_who_lacks_appearances():
    with pytest.raises(InputError, match="appearances lack bob, eve;"):
        paper_scores(np.eye(3), all_but_self(3), ["eve", "ann", "bob"], {"ann": 2}, map_skips=[], rank_skips=[])


@pytest.mark.parametrize(
    ("labels", "allowed", "expected"),
    [
        pytest.param([], all_but_self(0), (None, None, None, None, 0), id="empty"),
        pytest.param(["ann"], all_but_self(1), (None, None, None, None, 0), id="one scene"),
        pytest.param(["ann", "ann"], ~all_but_self(2), (None, None, None, None, 0), id="all forbidden"),
        pytest.param(["", ""], all_but_self(2), (None, None, None, None, 0), id="unlabelled is no query"),
        pytest.param(["rugby1", "rugby1"], all_but_self(2), (None, None, None, None, 0), id="nor a non-runner"),
        pytest.param(["ann", "ann"], all_but_self(2), (1.0, 1.0, 1.0, 1.0, 2), id="right"),
        pytest.param(["ann", "", "ann"], all_but_self(3), (0.75, 0.5, 1.0, 0.75, 2), id="of equals the earliest"),
        pytest.param(["ann", "ann"], np.ones((2, 2), bool), (1.0, 1.0, 1.0, 1.0, 2), id="never itself"),
    ],
)
def test_strict_scores(labels, allowed, expected):
    similarity = np.ones((len(labels), len(labels)))
    scores = strict_scores(similarity, allowed, labels, non_runners=NON_RUNNERS, bootstrap=50, seed=0)
    assert tuple(scores[name] for name in ("mAP", "rank1", "rank5", "mINP", "queries")) == expected
    if not labels:
        assert scores["mAP_ci95"] is None


def test_the_interval_resamples_runners():
    """ann's two scenes score 1, those of bob 1/3 and 1/2: a draw is ann, bob or both."""
    similarity = np.zeros((5, 5))
    for (i, j), value in {(0, 1): 0.9, (2, 3): 0.1, (2, 4): 0.8, (2, 0): 0.7, (3, 4): 0.8}.items():
        similarity[i, j] = similarity[j, i] = value
    labels = np.array(["ann", "ann", "bob", "bob", ""])

    def scores(seed, bootstrap=400):
        return strict_scores(similarity, all_but_self(5), labels, non_runners=[], bootstrap=bootstrap, seed=seed)

    assert scores(0)["mAP"] == pytest.approx((1 + 1 + 1 / 3 + 1 / 2) / 4)
    assert scores(0)["mAP_ci95"] == pytest.approx([(1 / 3 + 1 / 2) / 2, 1.0])
    assert scores(0, bootstrap=3) == scores(0, bootstrap=3)
    assert scores(0, bootstrap=0)["mAP_ci95"] is None


# The published figures


@pytest.fixture(scope="module")
def night():
    if not NIGHT.is_dir():
        pytest.skip(f"no published features at {NIGHT}; set RUNNER_REID_MIRROR to the folder that holds data/")
    rows = [line.split(",") for line in (NIGHT / "scene.txt").read_text().split()]
    start = np.array([int(row[1]) for row in rows])
    similarities = {
        name: compare(
            np.load(NIGHT / "features" / f"{name}_features.npy"),
            metric="correlation" if name.endswith("hist") else "cosine",
        )
        for name in ("hist", "shoe_hist", "gru", "hhclp", "hhcls")
    }
    return {
        "similarities": similarities,
        "allowed": np.abs(start[:, None] - start[None, :]) > 3600,
        "labels": np.array([row[3] for row in rows]),
        "appearances": {
            line.split(",")[0]: int(line.split(",")[1]) for line in (NIGHT / "gt_full.txt").read_text().split()
        },
    }


SYSTEMS = {
    "hist": {"hist": 1.0},
    "hist_shoe": {"hist": 0.9, "shoe_hist": 0.1},
    "gru": {"gru": 1.0},
    "gru_hist": {"gru": 0.85, "hist": 0.135, "shoe_hist": 0.015},
    "hhcl": {"hhclp": 1.0},
    "hhcl_shoe": {"hhclp": 0.75, "hhcls": 0.25},
}


@pytest.mark.shared
@pytest.mark.parametrize(
    ("system", "published"),
    [
        ("hist", (0.664273, 0.903846, 0.942308)),
        ("hist_shoe", (0.761024, 0.923077, 0.955128)),
        ("gru", (0.636394, 0.878205, 0.958333)),
        ("gru_hist", (0.788222, 0.945513, 0.967949)),
        ("hhcl", (0.911093, 0.974359, 0.980769)),
        ("hhcl_shoe", (0.915646, 0.974359, 0.977564)),
    ],
)
def test_published_figures(night, system, published):
    """To the last digit where numpy sorts with AVX-512; elsewhere equals fall otherwise, up to 3e-5."""
    numbers = np.arange(315)
    order = np.argsort(np.where(numbers % 3 == 0, 0.0, numbers))
    exact = order[:9].tolist() == [0, 312, 282, 309, 306, 285, 303, 300, 18]
    scores = paper_scores(
        fuse(night["similarities"], SYSTEMS[system]),
        *(night[name] for name in ("allowed", "labels", "appearances")),
        map_skips=NON_RUNNERS,
        rank_skips=["sprinter"],
    )
    tolerance = 1e-6 if exact else 3e-5
    assert scores["mAP"] == pytest.approx(published[0], abs=tolerance)
    assert (scores["rank1"], scores["rank5"]) == pytest.approx(published[1:], abs=1e-6)
    assert scores["queries"] == 307
    assert scores["ceiling"]["mAP"] == pytest.approx(0.929944, abs=tolerance)
    assert scores["ceiling"]["rank1"] == pytest.approx(307 / 312)


@pytest.mark.shared
@pytest.mark.parametrize(("system", "clean"), [("hhcl", (0.9788, 0.9902)), ("hhcl_shoe", (0.9839, 0.9902))])
def test_strict_figures(night, system, clean):
    scores = strict_scores(
        fuse(night["similarities"], SYSTEMS[system]),
        night["allowed"],
        night["labels"],
        non_runners=NON_RUNNERS,
        bootstrap=200,
        seed=0,
    )
    assert (scores["mAP"], scores["rank1"]) == pytest.approx(clean, abs=1e-4)
    assert scores["queries"] == 307
    assert scores["mAP_ci95"][0] < scores["mAP"] < scores["mAP_ci95"][1]


# Identities


@pytest.mark.parametrize(
    ("runner", "labels", "expected"),
    [
        pytest.param([], [], (0, 0, None, None, None, None, None), id="empty"),
        pytest.param([0, 1], ["", ""], (0, 0, None, None, None, None, None), id="nothing labelled"),
        pytest.param([3], ["ann"], (1, 1, 1.0, 1.0, None, None, None), id="no pair"),
        pytest.param([0, 0, 1, 2], ["ann", "ann", "bob", ""], (2, 2, 1.0, 1.0, 1.0, 1.0, 1.0), id="right"),
        pytest.param([0, 1], ["ann", "ann"], (2, 1, 0.0, 0.0, None, 0.0, 0.0), id="one runner taken for two"),
        pytest.param([0, 0], ["ann", "bob"], (1, 2, 0.0, 0.0, 0.0, None, 0.0), id="two runners taken for one"),
        pytest.param(
            [0, 0, 0, 1],
            ["ann", "ann", "bob", "bob"],
            (2, 2, 0.0, 0.0, 1 / 3, 1 / 2, 2 / 5),
            id="one scene wrong",
        ),
        pytest.param(
            [0, 0, 0, 5],
            ["ann", "ann", "rugby1", "rugby2"],
            (1, 1, 1.0, 1 / 3, 1.0, 1.0, 1.0),
            id="non-runners",
        ),
    ],
)
def test_identity_scores(runner, labels, expected):
    scores = identity_scores(np.array(runner, np.int32), np.array(labels, np.str_), non_runners=NON_RUNNERS)
    keys = ("found", "true", "ARI", "ARI_all", "pairwise_precision", "pairwise_recall", "pairwise_f1")
    assert scores == {key: pytest.approx(value) for key, value in zip(keys, expected, strict=True)}
    json.dumps(scores, allow_nan=False)


# Tracking


def box(x: float) -> tuple[float, ...]:
    return (x, 0, x + 10, 10)


@pytest.mark.parametrize(
    ("labelled", "found", "expected"),
    [
        pytest.param([], [], (None, None, None), id="empty"),
        pytest.param([], [(0, 0, *box(0))], (None, None, None), id="nothing labelled"),
        pytest.param([(0, 0, *box(0), False)], [(0, 0, *box(0))], (None, None, None), id="nothing counted"),
        pytest.param([(0, 7, *box(0), True)], [], (0.0, 0.0, 0.0), id="nothing found"),
        pytest.param([(0, 7, *box(0), True)], [(3, 9, *box(0))], (-1.0, 0.0, 0.0), id="at another time"),
        pytest.param(
            [(frame, 7, *box(frame), True) for frame in range(4)],
            [(frame, 9, *box(frame)) for frame in range(4)],
            (1.0, 1.0, 1.0),
            id="right",
        ),
        pytest.param(
            [(frame, 7, *box(frame), True) for frame in range(4)],
            [(frame, frame // 2, *box(frame)) for frame in range(4)],
            (0.75, 0.5, 0.5**0.5),
            id="broken in two: 1 switch; 2 of 4 in the better half; DetA 1, AssA 1/2",
        ),
        pytest.param(
            [(0, 7, *box(0), True), (0, 8, *box(50), False)],
            [(0, 1, *box(0)), (0, 2, *box(50))],
            (1.0, 1.0, 1.0),
            id="what is not counted is not wrong to find",
        ),
        pytest.param(
            [(0, 7, *box(0), True), (0, 8, *box(50), False)],
            [(0, 1, *box(0)), (0, 2, *box(90))],
            (0.0, 2 / 3, 0.5**0.5),
            id="a box on nobody is wrong",
        ),
        pytest.param(
            [(0, 7, *box(0), True), (0, 8, *box(2), False)],
            [(0, 1, *box(0))],
            (1.0, 1.0, 1.0),
            id="the counted one is nearer",
        ),
    ],
)
def test_tracking_scores(labelled, found, expected):
    scores = tracking_scores(table(labelled, BOXES), table(found, TRACKED), iou=0.5)
    assert tuple(scores[name] for name in ("MOTA", "IDF1", "HOTA")) == pytest.approx(expected)


@pytest.mark.shared
@pytest.mark.skipif(not CAMPUS.is_file(), reason=f"no {CAMPUS}; set RUNNER_REID_MIRROR")
def test_the_truth_of_tud_campus_scores_1_against_itself():
    truth = read_labels([CAMPUS], [], [], [], np.arange(71) / 25).boxes
    scores = tracking_scores(truth, truth.rename({"passage": "track"}), iou=0.5)
    assert scores == {"MOTA": 1.0, "IDF1": 1.0, "HOTA": 1.0}
    half = truth.filter(pl.col("frame") < 36).rename({"passage": "track"})
    recall = half.height / truth.height
    scores = tracking_scores(truth, half, iou=0.5)
    assert scores["MOTA"] == pytest.approx(recall)
    assert scores["IDF1"] == pytest.approx(2 * recall / (1 + recall))
