"""Pseudo-labels: who seems to be one person, by the neighbours that vectors have in common.

k-reciprocal Jaccard distance (Zhong et al. 2017), as unsupervised re-ID uses it, and DBSCAN over it. Sparse: pairs
without a common neighbour have the distance 1 and are not stored.
"""

import numpy as np
from scipy import sparse
from sklearn.cluster import DBSCAN
from sklearn.neighbors import sort_graph_by_row_values

from runner_reid.errors import InputError
from runner_reid.reranking import CHUNK, jaccard_rows, mean_over, reciprocal_sets

VALUES = 1 << 24
"""Numbers of vectors that are multiplied at once."""


def jaccard_distance(feature: np.ndarray, *, k1: int, k2: int, limit: float) -> sparse.csr_array:
    """The distance (N, N) of vectors `feature` (N, D) of length 1, sparse: what is not stored is more than `limit`.

    k1: neighbours looked at, itself included; larger reaches farther. k2: neighbours whose descriptions are averaged;
    larger smooths more, 1 not at all. Both count as N if larger. A member weighs softmax(-squared distance) in its set.
    limit: in 0..1; a smaller one keeps fewer distances in memory. 1 itself is never stored.

    >>> jaccard_distance(np.eye(3, dtype=np.float32)[[0, 0, 1, 1]], k1=2, k2=1, limit=1.0).nnz
    8
    """
    if k1 < 1 or k2 < 1:
        raise InputError(f"clustering: got k1 {k1}, k2 {k2}; expected 1 or more; correct them")
    feature = np.asarray(feature, np.float32)
    near = nearest(feature, max(k1, k2))
    described = reciprocal_sets(near[:, :k1], near[:, : min(k1, round(k1 / 2) + 1)])
    row = np.repeat(np.arange(len(feature)), np.diff(described.indptr))
    step = max(1, VALUES // max(1, feature.shape[1]))
    for part in (slice(start, start + step) for start in range(0, len(row), step)):
        alike = np.einsum("nd,nd->n", feature[row[part]], feature[described.indices[part]])
        described.data[part] = np.exp(2 * alike - 2)
    described = sparse.csr_array(sparse.diags_array(1 / np.asarray(described.sum(axis=1)).ravel()) @ described)
    if k2 > 1:
        described = mean_over(near[:, :k2], described)
    rows = []
    for _, distance in jaccard_rows(described, described):
        kept = (distance <= limit) & (distance < 1)
        values = sparse.csr_array(np.where(kept, distance.astype(np.float32) + 2, 0))  # + 2: a distance of 0 is kept
        values.data -= 2
        rows.append(values)
    return sparse.csr_array(sparse.vstack(rows)) if rows else sparse.csr_array((0, 0), dtype=np.float32)


def nearest(feature: np.ndarray, k: int) -> np.ndarray:
    """The `k` nearest of vectors (N, D) of length 1 by cosine, itself first, then by falling likeness; (N, min(k, N)).

    Of equal ones the earlier is nearer.

    >>> nearest(np.array([[1.0, 0], [0, 1], [0.8, 0.6]]), 2).tolist()
    [[0, 2], [1, 2], [2, 0]]
    """
    count = len(feature)
    k = min(k, count)
    found = np.empty((count, k), np.int64)
    for start in range(0, count, CHUNK):
        alike = feature[start : start + CHUNK] @ feature.T
        place = np.arange(len(alike))
        alike[place, start + place] = np.inf
        chosen = np.sort(np.argpartition(-alike, k - 1, axis=1)[:, :k], axis=1)
        order = np.argsort(-np.take_along_axis(alike, chosen, axis=1), axis=1, kind="stable")
        found[start : start + CHUNK] = np.take_along_axis(chosen, order, axis=1)
    return found


def cluster(distance: sparse.csr_array, *, eps: float, min_samples: int) -> np.ndarray:
    """Clusters (N,) int64 from 0 by DBSCAN over a distance of `jaccard_distance`; -1 for an outlier.

    eps: how near a neighbour is; larger makes fewer, larger clusters. min_samples: neighbours, itself included, that
    make a core; larger leaves more outliers. Raises InputError if eps is not in 0..1 (1: everyone is one cluster).
    """
    if not 0 < eps < 1 or min_samples < 1:
        raise InputError(f"clustering: got eps {eps}, min_samples {min_samples}; expected eps in 0..1 and 1 or more")
    if not distance.shape[0]:
        return np.empty(0, np.int64)
    ordered = sort_graph_by_row_values(sparse.csr_matrix(distance), copy=True, warn_when_not_sorted=False)
    found = DBSCAN(eps=eps, min_samples=min_samples, metric="precomputed").fit_predict(ordered)
    return found.astype(np.int64)


def pseudo_labels(
    feature: np.ndarray, camera: np.ndarray, *, k1: int, k2: int, eps: float, min_samples: int, by_camera: bool
) -> np.ndarray:
    """Clusters (N,) of vectors (N, D) of length 1, -1 for outliers.

    camera: (N,), which camera saw each. by_camera: `without_cameras` first, for sets with several cameras.
    k1, k2: of `jaccard_distance`. eps, min_samples: of `cluster`.
    """
    seen = without_cameras(feature, camera) if by_camera else feature
    return cluster(jaccard_distance(seen, k1=k1, k2=k2, limit=eps), eps=eps, min_samples=min_samples)


def without_cameras(feature: np.ndarray, camera: np.ndarray) -> np.ndarray:
    """Vectors (N, D) less the mean of their camera (N,), of length 1 again.

    What a camera does to all its pictures is most of what untrained vectors tell: without it, neighbours are people.

    >>> seen = np.array([[0.6, 0.8], [0.8, 0.6], [0.6, -0.8], [0.8, -0.6]])
    >>> without_cameras(seen, np.array([1, 1, 2, 2])).round(1).tolist()
    [[-0.7, 0.7], [0.7, -0.7], [-0.7, -0.7], [0.7, 0.7]]
    """
    rest = np.empty_like(feature)
    for number in np.unique(camera):
        own = camera == number
        rest[own] = feature[own] - feature[own].mean(0)
    return rest / np.linalg.norm(rest, axis=1, keepdims=True).clip(1e-12)


def centres(feature: np.ndarray, label: np.ndarray) -> np.ndarray:
    """The mean (C, D) of the vectors (N, D) of each label 0..C-1, of length 1. Labels below 0 are left out."""
    kept = label >= 0
    count = int(label.max(initial=-1)) + 1
    total = np.zeros((count, feature.shape[1]), np.float64)
    np.add.at(total, label[kept], feature[kept])
    return (total / np.linalg.norm(total, axis=1, keepdims=True).clip(1e-12)).astype(np.float32)
