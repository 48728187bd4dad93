"""Who is who on small cases and made-up practices, and whether its chances are what they say."""

import time

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from runner_reid.identity import assign_identities
from runner_reid.ranking import allowed_pairs, seen_together
from runner_reid.similarity import compare

PLAIN = {"lap_weight": 0.0, "neighbours": {"jaccard_share": 0.5, "rounds": 0}, "max_exceptions": 0}
CHOICES = PLAIN | {"false_match_rate": 0.1, "min_known_pairs": 1000, "threshold": 0.5}


def square(n: int, pairs: dict[tuple[int, int], float], fill: float) -> np.ndarray:
    matrix = np.full((n, n), fill)
    for (i, j), value in pairs.items():
        matrix[i, j] = matrix[j, i] = value
    return matrix


def all_allowed(n: int) -> np.ndarray:
    return ~np.eye(n, dtype=bool)


def who(similarity, allowed, start_s=None, **choices) -> dict[str, np.ndarray]:
    start_s = np.arange(len(similarity)) * 1.0 if start_s is None else start_s
    return assign_identities(similarity, allowed, start_s, **(CHOICES | choices)).columns


@pytest.mark.parametrize(
    ("similarity", "allowed", "choices", "expected"),
    [
        pytest.param(np.zeros((0, 0)), all_allowed(0), {}, [], id="empty"),
        pytest.param(np.ones((1, 1)), all_allowed(1), {}, [0], id="one scene"),
        pytest.param(square(2, {}, 0.5), all_allowed(2), {}, [0, 0], id="the cut itself merges"),
        pytest.param(square(2, {}, 0.49), all_allowed(2), {}, [0, 1], id="below the cut"),
        pytest.param(square(2, {}, 0.99), ~all_allowed(2), {}, [0, 1], id="forbidden"),
        pytest.param(square(3, {(0, 1): 0.9, (1, 2): 0.8}, 0.0), all_allowed(3), {}, [0, 0, 1], id="mean, not nearest"),
        pytest.param(
            square(3, {(0, 1): 0.9, (1, 2): 0.8, (0, 2): 0.9}, 0.0),
            square(3, {(0, 2): 0}, 1).astype(bool),
            {},
            [0, 0, 1],
            id="a cluster inherits what is forbidden to its scenes",
        ),
        pytest.param(
            square(4, {(0, 3): 0.9, (1, 2): 0.9}, 0.1),
            all_allowed(4),
            {},
            [0, 1, 1, 0],
            id="first scene order",
        ),
        pytest.param(
            square(3, {(0, 1): 0.8, (0, 2): 0.8}, 0.0),
            all_allowed(3),
            {},
            [0, 0, 1],
            id="of equals the earliest",
        ),
        pytest.param(square(3, {}, 0.2), all_allowed(3), {"threshold": 0.1}, [0, 0, 0], id="smaller threshold"),
        pytest.param(
            square(4, {(0, 1): 0.3, (2, 3): 0.1, (0, 2): 0.2, (1, 3): 0.35}, 0.0),
            square(4, {(0, 1): 0, (2, 3): 0}, 1).astype(bool),
            {"min_known_pairs": 2, "false_match_rate": 0.0},
            [0, 1, 2, 1],
            id="the cut is the most alike known-different pair",
        ),
        pytest.param(
            square(4, {(0, 1): 0.3, (2, 3): 0.1, (0, 2): 0.2, (1, 3): 0.35}, 0.0),
            square(4, {(0, 1): 0, (2, 3): 0}, 1).astype(bool),
            {"min_known_pairs": 2, "false_match_rate": 1.0},
            [0, 1, 0, 1],
            id="a larger false match rate merges more",
        ),
    ],
)
def test_assign_identities(similarity, allowed, choices, expected):
    found = who(similarity, allowed, **choices)
    assert found["runner"].dtype == np.int32 and found["runner"].tolist() == expected
    for name in ("confidence", "stranger"):
        assert found[name].dtype == np.float32 and found[name].shape == (len(expected),)
        assert ((found[name] >= 0) & (found[name] <= 1)).all()
    assert set(found["doubt"].tolist()) <= {"", "forbidden", "torn", "stranger", "apart"}


def test_who_may_be_nobody_else_is_nobody_seen_before():
    for n, allowed in ((1, all_allowed(1)), (3, np.zeros((3, 3), bool))):
        found = who(np.ones((n, n)), allowed)
        assert found["confidence"].tolist() == found["stranger"].tolist() == [1.0] * n
        assert found["doubt"].tolist() == [""] * n


def test_every_doubt_has_its_reason():
    """0 to 5 are one runner who passes with each of 6 to 11; 12 fits both, 13 fits 0 to 5 and passes with 4."""
    alike = np.full((14, 14), 0.1)
    alike[:6, :6] = alike[6:12, 6:12] = 0.9
    alike[12, :6] = alike[:6, 12] = 0.6
    alike[12, 6:12] = alike[6:12, 12] = 0.6
    alike[13, :6] = alike[:6, 13] = 0.8
    allowed = all_allowed(14)
    for one, other in [*((i, i + 6) for i in range(6)), (4, 13)]:
        allowed[one, other] = allowed[other, one] = False
        alike[one, other] = alike[other, one] = max(alike[one, other], 0.5)
    known = {"min_known_pairs": 6, "false_match_rate": 0.2}
    found = who(alike, allowed, **known)
    assert found["runner"].tolist() == [0] * 6 + [1] * 6 + [0, 2]
    assert found["doubt"][12] == "torn" and set(found["doubt"][:12]) == {""}
    mended = who(np.where(alike == 0.8, 0.95, alike), allowed, **(known | {"max_exceptions": 1}))
    assert mended["runner"][13] == 0
    assert (mended["doubt"] == "forbidden").nonzero()[0].tolist() == [4, 13]


def test_two_thousand_scenes_in_seconds():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 60, 2000)
    feature = rng.normal(size=(60, 32))[true] + 0.4 * rng.normal(size=(2000, 32))
    feature /= np.linalg.norm(feature, axis=1, keepdims=True)
    start_s = np.arange(2000)
    allowed = (np.abs(start_s[:, None] - start_s) > 20) & (true[:, None] == true) | (true[:, None] != true)
    before = time.process_time()
    runner = who(feature @ feature.T, allowed, start_s)["runner"]
    assert time.process_time() - before < 20
    assert 60 <= runner.max() + 1 < 300


@pytest.mark.parametrize(
    ("start_s", "end_s", "expected"),
    [
        pytest.param([], [], np.zeros((0, 0)), id="empty"),
        pytest.param([1.0], [2.0], [[0]], id="one scene"),
        pytest.param([0.0, 1.0], [2.0, 3.0], [[0, 1], [1, 0]], id="overlap"),
        pytest.param([0.0, 2.0], [2.0, 3.0], [[0, 1], [1, 0]], id="one frame in common"),
        pytest.param([0.0, 2.1], [2.0, 3.0], [[0, 0], [0, 0]], id="apart"),
        pytest.param([0.0, 1.0], [9.0, 2.0], [[0, 1], [1, 0]], id="inside"),
    ],
)
def test_seen_together(start_s, end_s, expected):
    np.testing.assert_array_equal(seen_together(np.array(start_s), np.array(end_s)), np.array(expected, bool))


def practice(
    seed: int, noise: float, runners: int = 20, laps: int = 9, once: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Made-up features of packs of runners: similarity, allowed, start_s, and who it is; some passages are seen twice.

    once: how many more people pass a single time.
    """
    rng = np.random.default_rng(seed)
    looks = rng.normal(size=(runners + once, 48))
    moments = rng.uniform(0, 80 * laps, once).tolist()
    rows = [(moment, moment + 2, runners + number) for number, moment in enumerate(moments)]
    for pack in np.array_split(np.arange(runners), 4):
        start_s, lap_s = rng.uniform(0, 80), rng.uniform(70, 95)
        for lap in range(laps):
            for place, runner in enumerate(pack):
                moment = start_s + lap * lap_s + 0.3 * place
                if rng.random() > 0.07:
                    rows.append((moment, moment + 2, runner))
                if rng.random() < 0.015:
                    rows.append((moment + rng.uniform(-0.5, 2.5), moment + 2.6, runner))
    rows.sort()
    start_s, end_s, who = (np.array(column) for column in zip(*rows, strict=True))
    feature = looks[who] + noise * rng.normal(size=(len(who), 48))
    allowed = allowed_pairs(start_s, min_lap_s=60) & ~seen_together(start_s, end_s)
    return compare(feature, metric="cosine"), allowed, start_s, who


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("noise", "least"), [(0.6, 0.97), (1.0, 0.94)])
def test_made_up_practices_are_told_apart_without_labels(params, seed, noise, least):
    similarity, allowed, start_s, true = practice(seed, noise)
    runner = assign_identities(similarity, allowed, start_s, **params["identity"]).columns["runner"]
    assert adjusted_rand_score(true, runner) >= least
    assert abs(len(set(runner.tolist())) - 20) <= 3


def test_a_passage_that_was_followed_twice_is_one_runner(params):
    similarity, allowed, start_s, true = practice(0, 0.6)
    torn = (true[:, None] == true) & ~allowed & ~np.eye(len(true), dtype=bool)
    assert torn.any()
    found = assign_identities(similarity, allowed, start_s, **params["identity"]).columns
    strict = assign_identities(similarity, allowed, start_s, **params["identity"] | {"max_exceptions": 0}).columns
    same = found["runner"][:, None] == found["runner"]
    assert same[torn].mean() >= 0.7 and not (strict["runner"][:, None] == strict["runner"])[torn].any()
    assert not same[~allowed & ~np.eye(len(true), dtype=bool) & ~torn].any()
    assert (found["doubt"][(same & torn).any(axis=1)] == "forbidden").all()


def test_laps_tell_apart_what_looks_do_not(params):
    """Without the rhythm of the packs, looks this poor mix runners up."""
    scores = {0.0: [], params["identity"]["lap_weight"]: []}
    for seed in range(4):
        similarity, allowed, start_s, true = practice(seed, 1.5)
        for weight, found in scores.items():
            choices = params["identity"] | {"lap_weight": weight}
            runner = assign_identities(similarity, allowed, start_s, **choices).columns["runner"]
            found.append(adjusted_rand_score(true, runner))
    without, with_laps = (np.mean(found) for found in scores.values())
    assert with_laps > without + 0.05


def test_a_stranger_is_taken_for_somebody_as_rarely_as_stated(params):
    """Of people who pass once, no larger share than r has a chance below r; runners who come back have nearly 0."""
    strangers, known = [], []
    for seed in range(4):
        similarity, allowed, start_s, true = practice(seed, 0.8, once=20)
        found = assign_identities(similarity, allowed, start_s, **params["identity"]).columns
        strangers += found["stranger"][true >= 20].tolist()
        known += found["stranger"][true < 20].tolist()
        alone = np.bincount(found["runner"])[found["runner"]] == 1
        right = np.where(alone, found["stranger"], 1 - found["stranger"])
        np.testing.assert_allclose(found["confidence"], right, atol=1e-6)
    for rate in (0.03, 0.1, 0.2, 0.5):
        assert np.mean(np.array(strangers) <= rate) <= rate + 0.03, rate
    assert np.mean(np.array(strangers) <= 0.5) >= 0.3, "a chance, not a bound"
    assert np.mean(np.array(known) <= params["identity"]["false_match_rate"]) >= 0.9


@pytest.mark.parametrize(
    ("similarity", "allowed"),
    [
        pytest.param(np.zeros((0, 0)), all_allowed(0), id="empty"),
        pytest.param(np.ones((1, 1)), all_allowed(1), id="one scene"),
        pytest.param(np.ones((60, 60)), np.zeros((60, 60), bool), id="all forbidden, all alike"),
        pytest.param(np.zeros((60, 60)), np.zeros((60, 60), bool), id="all forbidden, all different"),
        pytest.param(np.zeros((5, 5)), all_allowed(5), id="nothing forbidden"),
    ],
)
def test_edges_with_the_default_choices(params, similarity, allowed):
    start_s = np.arange(len(similarity)) * 1.0
    found = assign_identities(similarity, allowed, start_s, **params["identity"]).columns
    assert {len(column) for column in found.values()} == {len(similarity)}
    assert np.isfinite(found["confidence"]).all() and np.isfinite(found["stranger"]).all()
    assert len(similarity) < 60 or len(set(found["runner"].tolist())) == 60, "what is forbidden stays apart"
