"""How alike scenes are: comparing features, and fusing what several extractors say."""

import numpy as np

from runner_reid.errors import InputError

METRICS = ("cosine", "correlation")


def compare(feature: np.ndarray, *, metric: str) -> np.ndarray:
    """How alike any two scenes are by one extractor; larger is more alike.

    feature: (N, D). Returns (N, N) float32 in -1..1, symmetric, 1 on the diagonal.
    metric: `cosine`, or `correlation` (Pearson over the D values, as OpenCV's HISTCMP_CORREL).

    A row of `feature` with a value that is not finite is unknown: its row and column are NaN, diagonal
    included. A feature without direction (all zero in cosine, constant in correlation) says nothing: 0 with
    every other. (HISTCMP_CORREL gives 1 there, that is, a perfect match with everyone.) Raises InputError for
    another metric.

    >>> compare(np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]]), metric="cosine")[0].round(3).tolist()
    [1.0, 0.0, 0.7070000171661377]
    """
    if metric not in METRICS:
        raise InputError(f"metric {metric!r} is unknown; expected one of {', '.join(METRICS)}; correct it")
    known = np.isfinite(feature).all(axis=1)
    values = np.where(known[:, None], feature, 0).astype(np.float64)
    size = np.linalg.norm(values, axis=1, keepdims=True)
    if metric == "correlation" and values.size:
        values = values - values.mean(axis=1, keepdims=True)
    length = np.linalg.norm(values, axis=1, keepdims=True)
    # Of a constant row, rounding leaves a remainder of about 1e-16 of its size.
    directed = length > 1e-12 * size
    unit = np.divide(values, length, out=np.zeros_like(values), where=directed)
    similarity = np.clip(unit @ unit.T, -1, 1).astype(np.float32)
    np.fill_diagonal(similarity, 1)
    similarity[~known] = np.nan
    similarity[:, ~known] = np.nan
    return similarity


def fuse(similarities: dict[str, np.ndarray], weights: dict[str, float]) -> np.ndarray:
    """The weighted sum of what several extractors say (S0 section 3.5: 0.9 clothes + 0.1 shoes).

    similarities: per extractor (N, N); those without a weight are left out. weights: a larger weight gives
    that extractor more say. Returns (N, N) without NaN.

    Where an extractor does not know (NaN), it says what it says on average: the mean over its known pairs of
    two different scenes. So a scene without a clear shoe is neither favoured nor punished. Without one known
    pair it adds 0. Raises InputError if a weight names no similarity, or if there is no weight.

    >>> body, shoe = np.array([[1.0, 0.5], [0.5, 1.0]]), np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> fuse({"body": body, "shoe": shoe}, {"body": 0.75, "shoe": 0.25}).tolist()
    [[1.0, 0.375], [0.375, 1.0]]
    """
    unknown = [name for name in weights if name not in similarities]
    if unknown or not weights:
        raise InputError(
            f"weights name {', '.join(unknown) or 'nothing'}; expected one or more of "
            f"{', '.join(similarities)}; correct them"
        )
    return np.sum([weight * _known(similarities[name]) for name, weight in weights.items()], axis=0)


def _known(similarity: np.ndarray) -> np.ndarray:
    """`similarity` with every NaN replaced by the mean over the known pairs of two different scenes."""
    missing = np.isnan(similarity)
    if not missing.any():
        return similarity
    pairs = similarity[~missing & ~np.eye(len(similarity), dtype=bool)]
    mean = pairs.mean(dtype=np.float64) if pairs.size else 0.0
    return np.where(missing, similarity.dtype.type(mean), similarity)
