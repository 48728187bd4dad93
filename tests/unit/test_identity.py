"""Who is who, against a plain reference that reconsiders every pair of clusters at every step."""

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from runner_reid.identity import assign_identities, doubtful_scenes
from runner_reid.ranking import allowed_pairs, seen_together
from runner_reid.similarity import compare
from runner_reid.tables import IDENTITIES

PLAIN = {"neighbours": {"jaccard_share": 0.5, "rounds": 0}, "max_exceptions": 0}
CHOICES = PLAIN | {"false_match_rate": 0.1, "min_known_pairs": 1000, "threshold": 0.5}


def square(n: int, pairs: dict[tuple[int, int], float], fill: float) -> np.ndarray:
    matrix = np.full((n, n), fill)
    for (i, j), value in pairs.items():
        matrix[i, j] = matrix[j, i] = value
    return matrix


def all_allowed(n: int) -> np.ndarray:
    return ~np.eye(n, dtype=bool)


def slow_clusters(similarity: np.ndarray, allowed: np.ndarray, cut: float) -> list[int]:
    clusters = [[i] for i in range(len(similarity))]
    while True:
        best = None
        for a, b in itertools.combinations(clusters, 2):
            pairs = [(i, j) for i in a for j in b]
            if all(allowed[i, j] for i, j in pairs):
                mean = sum(float(similarity[i, j]) for i, j in pairs) / len(pairs)
                if mean >= cut and (best is None or mean > best[0]):
                    best = (mean, a, b)
        if best is None:
            return [next(k for k, cluster in enumerate(clusters) if i in cluster) for i in range(len(similarity))]
        _, a, b = best
        clusters = sorted([cluster for cluster in clusters if cluster not in (a, b)] + [sorted(a + b)])


def slow_confidence(similarity, allowed, runner, cut) -> list[float]:
    answer = []
    for i in range(len(runner)):
        mates = [similarity[i, j] for j in range(len(runner)) if j != i and runner[j] == runner[i]]
        own = float(np.mean(mates)) if mates else cut
        others = []
        for cluster in set(runner) - {runner[i]}:
            members = [j for j in range(len(runner)) if runner[j] == cluster]
            if all(allowed[i, j] for j in members):
                others.append(float(np.mean([similarity[i, j] for j in members])))
        if not others:
            answer.append(1.0)
            continue
        width = 1 - min(own, max(others))
        answer.append(min(max((own - max(others)) / width, 0), 1) if width > 0 else 0.0)
    return answer


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
    runner, confidence = assign_identities(similarity, allowed, **(CHOICES | choices))
    assert runner.dtype == np.int32
    assert confidence.dtype == np.float32
    assert runner.tolist() == expected
    assert len(confidence) == len(expected)
    assert ((confidence >= 0) & (confidence <= 1)).all()


@pytest.mark.parametrize(
    ("pairs", "fill", "forbidden", "expected"),
    [
        pytest.param({}, 0.3, {(0, 1): 0, (0, 2): 0, (1, 2): 0}, [1, 1, 1], id="nobody else it could be"),
        pytest.param({(0, 1): 0.9}, 0.3, {}, [6 / 7, 6 / 7, 2 / 7], id="0.9 own, 0.3 other, cut 0.5"),
        pytest.param({(0, 1): 1.0}, 1.0, {(1, 2): 0}, [0, 1, 1], id="equally alike"),
    ],
)
def test_confidence(pairs, fill, forbidden, expected):
    allowed = square(3, forbidden, 1).astype(bool)
    _, confidence = assign_identities(square(3, pairs, fill), allowed, **CHOICES)
    np.testing.assert_allclose(confidence, expected, atol=1e-6)


def test_one_scene_is_certain():
    assert assign_identities(np.ones((1, 1)), all_allowed(1), **CHOICES)[1].tolist() == [1.0]


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 9),
    st.integers(0, 2**32 - 1),
    st.sampled_from([2, 5, 1000]),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_assign_identities_is_the_plain_algorithm(n, seed, levels, share, threshold):
    rng = np.random.default_rng(seed)
    similarity = np.triu(rng.integers(0, levels + 1, (n, n)) / levels, 1).astype(np.float32)
    similarity = similarity + similarity.T
    forbidden = np.triu(rng.random((n, n)) < share, 1)
    allowed = ~(forbidden | forbidden.T)
    before = similarity.copy(), allowed.copy()
    runner, confidence = assign_identities(similarity, allowed, **(CHOICES | {"threshold": threshold}))
    assert runner.tolist() == slow_clusters(similarity, allowed, threshold)
    expected = slow_confidence(similarity.astype(np.float64), allowed, runner, threshold)
    np.testing.assert_allclose(confidence, expected, atol=1e-5)
    assert not any(forbidden[i, j] and runner[i] == runner[j] for i in range(n) for j in range(n))
    np.testing.assert_array_equal(similarity, before[0])
    np.testing.assert_array_equal(allowed, before[1])


def test_two_thousand_scenes_in_seconds():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 60, 2000)
    feature = rng.normal(size=(60, 32))[true] + 0.4 * rng.normal(size=(2000, 32))
    feature /= np.linalg.norm(feature, axis=1, keepdims=True)
    start_s = np.arange(2000)
    allowed = (np.abs(start_s[:, None] - start_s) > 20) & (true[:, None] == true) | (true[:, None] != true)
    before = time.process_time()
    runner, _ = assign_identities(feature @ feature.T, allowed, **CHOICES)
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


def practice(seed: int, noise: float, runners: int = 20, laps: int = 9) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Made-up features of packs of runners: similarity, allowed, and who it is; some passages are seen twice."""
    rng = np.random.default_rng(seed)
    looks = rng.normal(size=(runners, 48))
    rows = []
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
    return compare(feature, metric="cosine"), allowed, who


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("noise", "least"), [(0.6, 0.97), (1.0, 0.94)])
def test_made_up_practices_are_told_apart_without_labels(params, seed, noise, least):
    similarity, allowed, who = practice(seed, noise)
    runner, _ = assign_identities(similarity, allowed, **params["identity"])
    assert adjusted_rand_score(who, runner) >= least
    assert abs(len(set(runner.tolist())) - 20) <= 3


def test_a_passage_that_was_followed_twice_is_one_runner(params):
    similarity, allowed, who = practice(0, 0.6)
    torn = (who[:, None] == who) & ~allowed & ~np.eye(len(who), dtype=bool)
    assert torn.any()
    runner, _ = assign_identities(similarity, allowed, **params["identity"])
    strict, _ = assign_identities(similarity, allowed, **params["identity"] | {"max_exceptions": 0})
    same = runner[:, None] == runner
    assert same[torn].mean() >= 0.7 and not (strict[:, None] == strict)[torn].any()
    assert not same[~allowed & ~np.eye(len(who), dtype=bool) & ~torn].any()


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
    runner, confidence = assign_identities(similarity, allowed, **params["identity"])
    assert len(runner) == len(confidence) == len(similarity)
    assert np.isfinite(confidence).all()
    assert len(similarity) < 60 or len(set(runner.tolist())) == 60, "what is forbidden stays apart"


def test_doubtful_scenes():
    found = {"scene": range(10, 15), "runner": [0, 0, 1, 2, 2], "confidence": [0.5, 0.5, 1.0, 0.0, 0.2]}
    allowed = square(5, {(0, 1): 0}, 1).astype(bool)
    assert doubtful_scenes(IDENTITIES.frame(found), allowed) == [
        {"scene": 10, "why": "forbidden"},
        {"scene": 11, "why": "forbidden"},
        {"scene": 12, "why": "alone"},
        {"scene": 13, "why": "torn"},
    ]
    assert doubtful_scenes(IDENTITIES.empty(), np.zeros((0, 0), bool)) == []
