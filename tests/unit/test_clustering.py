"""Neighbours in common, against a dense reference that follows the published description item by item."""

import numpy as np
import pytest

from runner_reid import clustering
from runner_reid.errors import InputError


def people(count: int, each: int, *, width: int = 24, spread: float = 0.35, seed: int = 0) -> np.ndarray:
    """Vectors of length 1 around `count` centres."""
    rng = np.random.default_rng(seed)
    feature = np.repeat(rng.normal(size=(count, width)), each, axis=0) + spread * rng.normal(size=(count * each, width))
    return (feature / np.linalg.norm(feature, axis=1, keepdims=True)).astype(np.float32)


def dense_jaccard(feature: np.ndarray, k1: int, k2: int) -> np.ndarray:
    """Everything as full matrices and Python sets."""
    feature = feature.astype(np.float64)
    count = len(feature)
    squared = ((feature[:, None] - feature[None]) ** 2).sum(-1)
    np.fill_diagonal(squared, -1)
    rank = np.argsort(squared, axis=1, kind="stable")
    np.fill_diagonal(squared, 0)

    def reciprocal(item, k):
        return {int(j) for j in rank[item, :k] if item in rank[j, :k]}

    half = int(np.around(k1 / 2)) + 1
    described = np.zeros((count, count))
    for i in range(count):
        base = reciprocal(i, k1)
        members = set(base)
        for j in base:
            candidate = reciprocal(j, min(half, k1))
            if len(candidate & base) > 2 / 3 * len(candidate):
                members |= candidate
        chosen = sorted(members)
        weight = np.exp(-squared[i, chosen])
        described[i, chosen] = weight / weight.sum()
    if k2 > 1:
        described = np.stack([described[rank[i, :k2]].mean(axis=0) for i in range(count)])
    shared = np.minimum(described[:, None], described[None]).sum(-1)
    return np.maximum(1 - shared / (2 - shared), 0)


def labels(feature: np.ndarray, **choices) -> np.ndarray:
    """Of one camera."""
    return clustering.pseudo_labels(feature, np.zeros(len(feature)), **choices, by_camera=False)


@pytest.mark.parametrize("k1, k2", [(30, 6), (20, 1), (6, 3), (2, 2), (500, 6)], ids=str)
def test_the_distance_is_that_of_the_dense_reference(k1, k2):
    feature = people(12, 13)
    sparse = clustering.jaccard_distance(feature, k1=k1, k2=k2, limit=1.0)
    dense = np.ones(sparse.shape)
    stored = sparse.tocoo()
    dense[stored.row, stored.col] = stored.data
    np.testing.assert_allclose(dense, dense_jaccard(feature, min(k1, len(feature)), k2), atol=1e-6)
    assert (np.diff(sparse.indptr) > 0).all()


def test_clusters_are_those_of_dbscan_on_the_dense_reference():
    from sklearn.cluster import DBSCAN

    feature = people(10, 9, spread=1.1)
    dense = dense_jaccard(feature, 15, 4)
    expected = DBSCAN(eps=0.5, min_samples=4, metric="precomputed").fit_predict(dense)
    found = labels(feature, k1=15, k2=4, eps=0.5, min_samples=4)
    np.testing.assert_array_equal(found, expected)
    assert found.max() > 3 and (found == -1).any()


def test_people_are_found_across_cameras():
    who, camera = np.repeat(np.arange(8), 10), np.tile([1, 2], 40)
    feature = people(8, 10, spread=0.5) + np.where(camera == 1, 1.0, -1.0).astype(np.float32)[:, None]
    feature /= np.linalg.norm(feature, axis=1, keepdims=True)
    choices = {"k1": 15, "k2": 4, "eps": 0.5, "min_samples": 4}
    torn = clustering.pseudo_labels(feature, camera, **choices, by_camera=False)
    whole = clustering.pseudo_labels(feature, camera, **choices, by_camera=True)
    assert all(len(set(camera[torn == number])) == 1 for number in range(torn.max() + 1))
    np.testing.assert_array_equal(whole, who)


def test_a_limit_only_leaves_out():
    feature = people(6, 8, spread=0.8)
    full = clustering.jaccard_distance(feature, k1=10, k2=3, limit=1.0).toarray()
    cut = clustering.jaccard_distance(feature, k1=10, k2=3, limit=0.6).toarray()
    np.testing.assert_array_equal(cut, np.where(full <= 0.6, full, 0))
    assert 0 < (cut > 0).sum() < (full > 0).sum()


def test_twins_have_no_distance_that_is_lost():
    feature = np.repeat(people(3, 1), 5, axis=0)
    distance = clustering.jaccard_distance(feature, k1=5, k2=1, limit=1.0)
    assert distance.nnz == 3 * 5 * 5 and np.abs(distance.data).max() < 1e-6
    assert clustering.cluster(distance, eps=0.1, min_samples=4).tolist() == np.repeat([0, 1, 2], 5).tolist()


def test_nobody_is_no_cluster():
    assert labels(np.empty((0, 4), np.float32), k1=30, k2=6, eps=0.5, min_samples=4).shape == (0,)
    assert labels(people(1, 1), k1=30, k2=6, eps=0.5, min_samples=4).tolist() == [-1]


def test_centres_leave_outliers_out():
    feature = np.array([[1, 0], [0, 1], [0, -1]], np.float32)
    np.testing.assert_allclose(clustering.centres(feature, np.array([0, 0, -1])), [[0.5**0.5, 0.5**0.5]], rtol=1e-6)
    assert clustering.centres(feature, np.array([-1, -1, -1])).shape == (0, 2)


@pytest.mark.parametrize("changes", [{"eps": 1.0}, {"eps": 0.0}, {"min_samples": 0}, {"k1": 0}, {"k2": 0}], ids=str)
def test_choices_out_of_range_are_told(changes):
    with pytest.raises(InputError, match="clustering: got"):
        labels(people(2, 3), **{"k1": 5, "k2": 2, "eps": 0.5, "min_samples": 2} | changes)
