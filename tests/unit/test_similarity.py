"""Comparing features and fusing extractors."""

import warnings

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from runner_reid.errors import InputError
from runner_reid.similarity import METRICS, compare, fuse

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
