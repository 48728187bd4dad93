"""Comparing features and fusing extractors."""

import warnings

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from runner_reid.errors import InputError
from runner_reid.similarity import METRICS, compare, fuse, fuse_by_dissent, separating_weights

NAN = np.nan


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("shape", [(0, 3), (0, 0), (1, 3)])
def test_compare_few(metric, shape):
    compared = compare(np.ones(shape, np.float32), metric=metric)
    assert compared.dtype == np.float32
    np.testing.assert_array_equal(compared, np.ones((shape[0], shape[0])))


@pytest.mark.parametrize(
    ("metric", "feature", "expected"),
    [
        ("cosine", [[1, 0], [-2, 0]], [[1, -1], [-1, 1]]),
        ("cosine", [[3, 4], [4, 3]], [[1, 0.96], [0.96, 1]]),
        ("cosine", [[0, 0], [1, 2]], [[1, 0], [0, 1]]),
        ("correlation", [[1, 2, 3], [6, 4, 2]], [[1, -1], [-1, 1]]),
        ("correlation", [[1, 2, 3], [10, 20, 30]], [[1, 1], [1, 1]]),
        ("correlation", [[0.1, 0.1, 0.1], [1, 2, 3]], [[1, 0], [0, 1]]),
        ("correlation", [[7.3], [2.0]], [[1, 0], [0, 1]]),
        ("cosine", [[NAN, 1], [1, 1]], [[NAN, NAN], [NAN, 1]]),
        ("correlation", [[1, 2], [NAN, NAN], [2, 1]], [[1, NAN, -1], [NAN] * 3, [-1, NAN, 1]]),
        ("cosine", [[np.inf, 1], [1, 1]], [[NAN, NAN], [NAN, 1]]),
    ],
)
def test_compare(metric, feature, expected):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compared = compare(np.array(feature, np.float64), metric=metric)
    np.testing.assert_allclose(compared, expected, atol=1e-6)


def test_correlation_is_that_of_opencv():
    histograms = np.random.default_rng(0).integers(0, 500, (12, 24)).astype(np.float32)
    expected = [[cv2.compareHist(a, b, cv2.HISTCMP_CORREL) for b in histograms] for a in histograms]
    np.testing.assert_allclose(compare(histograms, metric="correlation"), expected, atol=1e-6)


@given(
    arrays(np.float32, st.tuples(st.integers(0, 6), st.integers(1, 5)), elements=st.floats(-100, 100, width=32)),
    st.sampled_from(METRICS),
)
def test_compare_is_symmetric_bounded_and_blind_to_scale(feature, metric):
    compared = compare(feature, metric=metric)
    np.testing.assert_array_equal(compared, compared.T)
    np.testing.assert_array_equal(np.diag(compared), np.ones(len(feature)))
    assert (np.abs(compared) <= 1).all()
    np.testing.assert_allclose(compare(feature * 4, metric=metric), compared, atol=1e-5)


def test_compare_names_the_known_metrics():
    with pytest.raises(InputError, match=r"'manhattan'.*cosine, correlation"):
        compare(np.ones((2, 2)), metric="manhattan")


A = np.array([[1, 0.5], [0.5, 1]], np.float32)
HALF_KNOWN = np.array([[1, 0.2, NAN], [0.2, 1, NAN], [NAN, NAN, NAN]])


@pytest.mark.parametrize(
    ("similarities", "weights", "expected"),
    [
        pytest.param({"a": np.zeros((0, 0))}, {"a": 1.0}, np.zeros((0, 0)), id="empty"),
        pytest.param({"a": A, "b": A + 1}, {"a": 1.0}, A, id="no weight, no say"),
        pytest.param({"a": A, "b": -A}, {"a": 0.75, "b": 0.25}, A / 2, id="weighted sum"),
        pytest.param(
            {"a": HALF_KNOWN},
            {"a": 1.0},
            [[1, 0.2, 0.2], [0.2, 1, 0.2], [0.2, 0.2, 0.2]],
            id="unknown is average",
        ),
        pytest.param({"a": A, "b": np.full((2, 2), NAN)}, {"a": 0.5, "b": 0.5}, A / 2, id="all unknown"),
        pytest.param({"a": np.array([[1, NAN], [NAN, NAN]])}, {"a": 1.0}, [[1, 0], [0, 0]], id="no known pair"),
    ],
)
def test_fuse(similarities, weights, expected):
    before = {name: array.copy() for name, array in similarities.items()}
    np.testing.assert_allclose(fuse(similarities, weights), expected, atol=1e-7)
    for name, array in similarities.items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fuse_is_the_plain_weighted_sum_to_the_last_bit(dtype):
    a, b = np.random.default_rng(1).random((2, 9, 9)).astype(dtype)
    np.testing.assert_array_equal(fuse({"a": a, "b": b}, {"a": 0.9, "b": 0.1}), 0.9 * a + 0.1 * b)


@pytest.mark.parametrize(("weights", "given_name"), [({"shoes": 1.0}, "shoes"), ({}, "nothing")])
def test_fuse_names_the_known_extractors(weights, given_name):
    with pytest.raises(InputError, match=f"{given_name}; expected one or more of body, shoe;"):
        fuse({"body": A, "shoe": A}, weights)


def groups(noise: float, seed: int, runners: int = 6, laps: int = 8) -> np.ndarray:
    """Similarities (N, N) of runners who pass in turn."""
    rng = np.random.default_rng(seed)
    feature = np.tile(rng.normal(size=(runners, 16)), (laps, 1)) + noise * rng.normal(size=(runners * laps, 16))
    return compare(feature, metric="cosine")


def test_weights_without_labels_follow_what_separates():
    scenes = np.arange(48)
    allowed = np.abs(scenes[:, None] - scenes) > 4
    clear, poor, noise = groups(0.2, 0), groups(1.0, 1), groups(100.0, 2)
    weights = separating_weights({"clear": clear, "poor": poor, "noise": noise}, allowed)
    assert list(weights) == ["clear", "poor", "noise"] and sum(weights.values()) == pytest.approx(1)
    assert weights["clear"] > weights["poor"] >= 0 and weights["clear"] > 0.5 and weights["noise"] < 0.1
    wide = separating_weights({"clear": clear, "poor": 100 * poor}, allowed)
    both = separating_weights({"clear": clear, "poor": poor}, allowed)
    assert wide["poor"] * 100 / wide["clear"] == pytest.approx(both["poor"] / both["clear"]), "blind to scale"


@pytest.mark.parametrize(
    "allowed",
    [np.ones((3, 3), bool), np.zeros((3, 3), bool), ~np.eye(3, dtype=bool)],
    ids=["nothing known to differ", "all forbidden", "only itself"],
)
def test_weights_are_equal_where_nothing_is_known(allowed):
    weights = separating_weights({"a": np.eye(3), "b": np.full((3, 3), np.nan)}, allowed)
    assert weights == {"a": 0.5, "b": 0.5}


def slow_dissent(stacked: list[np.ndarray], nearest: int) -> np.ndarray:
    answer = np.zeros(stacked[0].shape)
    for row in range(len(answer)):
        votes = [sorted(range(answer.shape[1]), key=lambda item, m=m: -m[row, item])[:nearest] for m in stacked]
        counts = [sum(item in vote for vote in votes) for item in range(answer.shape[1])]
        agreed = [sum(counts[item] >= len(stacked) // 2 + 1 for item in vote) for vote in votes]
        total = sum(agreed)
        share = [(one / total if one else 0.1) if total else 1 / len(stacked) for one in agreed]
        weights = [1 / one / sum(1 / other for other in share) for one in share]
        answer[row] = sum(weight * matrix[row] for weight, matrix in zip(weights, stacked, strict=True))
    return answer


@pytest.mark.parametrize("extractors", [1, 2, 3, 4])
@pytest.mark.parametrize("nearest", [1, 3, 99])
def test_fuse_by_dissent_is_the_plain_description(extractors, nearest):
    rng = np.random.default_rng(extractors)
    stacked = [rng.random((7, 9)) for _ in range(extractors)]
    found = fuse_by_dissent({str(number): matrix for number, matrix in enumerate(stacked)}, nearest=nearest)
    np.testing.assert_allclose(found, slow_dissent(stacked, nearest), atol=1e-12)


@pytest.mark.parametrize("given, nearest", [({}, 1), ({"a": np.eye(2)}, 0), ({"a": np.eye(2), "b": np.eye(3)}, 1)])
def test_fuse_by_dissent_tells_what_does_not_fit(given, nearest):
    with pytest.raises(InputError, match=r"fusion: got nearest .* expected") as error:
        fuse_by_dissent(given, nearest=nearest)
    assert "\n" not in str(error.value)
