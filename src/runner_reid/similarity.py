"""How alike scenes are: comparing features, and fusing what several extractors say."""

import numpy as np

from runner_reid.errors import InputError, check_choice

METRICS = ("cosine", "correlation")
STEPS = (0.02, 0.05, 0.1, 0.2, 0.5)
"""Shares by which one more extractor may be mixed in at once when weights are found (separating_weights)."""


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
    check_choice("metric", metric, METRICS)
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
    return np.sum([weight * fill_unknown(similarities[name]) for name, weight in weights.items()], axis=0)


def fill_unknown(similarity: np.ndarray) -> np.ndarray:
    """`similarity` with every NaN replaced by the mean over the known pairs of two different scenes."""
    missing = np.isnan(similarity)
    if not missing.any():
        return similarity
    pairs = similarity[~missing & ~np.eye(len(similarity), dtype=bool)]
    mean = pairs.mean(dtype=np.float64) if pairs.size else 0.0
    return np.where(missing, similarity.dtype.type(mean), similarity)


def separating_weights(similarities: dict[str, np.ndarray], allowed: np.ndarray) -> dict[str, float]:
    """Weights for `fuse` without labels: those under which nearest neighbours stand out most from strangers.

    similarities: per extractor (N, N), NaN where unknown. allowed: (N, N) bool; pairs that are not allowed (both ways,
    off the diagonal) are known to be different runners. Returns one weight per extractor, 0 or more, that sum to 1.

    What is made as large as possible is the separation of the weighted sum: how much the most alike allowed scene is,
    on average over scenes, more alike than the most alike of as many known-different ones would be (their quantile
    n / (n + 1) for n allowed scenes), in units of the spread of known-different pairs above their median. From the
    extractor that separates best alone, the one that helps most is mixed in, by the share of STEPS that helps most,
    until none helps. All weigh the same where no pair is known to be different or none is allowed.
    """
    names = sorted(similarities)
    forbidden = ~(allowed | allowed.T)
    np.fill_diagonal(forbidden, False)
    candidates = allowed & ~np.eye(len(allowed), dtype=bool)
    if not forbidden.any() or not candidates.any():
        return {name: 1 / len(names) for name in similarities}
    values = [fill_unknown(np.asarray(similarities[name], np.float64)) for name in names]
    spread = np.array([upper_spread(value[forbidden]) for value in values])
    values = [value / size if size > 0 else np.zeros_like(value) for value, size in zip(values, spread, strict=True)]
    alone = np.eye(len(names))
    weight, best = max(
        ((one, _separation(values, one, candidates, forbidden)) for one in alone), key=lambda pair: pair[1]
    )
    while True:
        mixed = [(1 - step) * weight + step * one for one in alone for step in STEPS]
        found, gain = max(
            ((mix, _separation(values, mix, candidates, forbidden)) for mix in mixed), key=lambda pair: pair[1]
        )
        if gain <= best + 1e-6:
            break
        weight, best = found, gain
    raw = np.divide(weight, spread, out=np.zeros(len(names)), where=spread > 0)
    share = raw / raw.sum() if raw.sum() > 0 else np.full(len(names), 1 / len(names))
    return {name: float(share[names.index(name)]) for name in similarities}


def _separation(values: list[np.ndarray], weight: np.ndarray, candidates: np.ndarray, forbidden: np.ndarray) -> float:
    """See separating_weights."""
    fused = np.sum([part * value for part, value in zip(weight, values, strict=True) if part > 0], axis=0)
    different = fused[forbidden]
    count = candidates.sum(axis=1)
    nearest = np.where(candidates, fused, -np.inf).max(axis=1)[count > 0]
    by_chance = np.quantile(different, count[count > 0] / (count[count > 0] + 1))
    spread = upper_spread(different)
    return float((nearest - by_chance).mean()) / spread if spread > 0 else 0.0


def upper_spread(values: np.ndarray) -> float:
    """Root mean square of what lies above the median, from there; correlations have a long tail below it."""
    above = values - np.median(values)
    return float(np.sqrt(np.square(above[above > 0]).mean())) if (above > 0).any() else 0.0


def fuse_by_dissent(similarities: dict[str, np.ndarray], *, nearest: int) -> np.ndarray:
    """A sum in which, per query, the extractor that agrees least with the others weighs most (MMSports'23 winner).

    similarities: per extractor (Q, G) without NaN. nearest: how many of a query's most alike items each extractor
    votes for (15 in the published runs; larger lets weaker candidates vote). Returns (Q, G).

    Items with the votes of more than half of the extractors are good. An extractor's share is the number of its good
    items over that of all extractors (0.1 for none, equal shares if nobody has any), its weight the inverse of that,
    weights sum to 1 per query. The winner's last step is the mean of this and of the plain mean, `fuse` with equal
    weights. Of equal similarities the earlier item is voted for.

    >>> alike = {"a": np.array([[0.9, 0.1, 0.0]]), "b": np.array([[0.8, 0.0, 0.3]])}
    >>> fuse_by_dissent(alike, nearest=1).round(2).tolist()
    [[0.85, 0.05, 0.15]]
    """
    if not similarities or nearest < 1 or len({values.shape for values in similarities.values()}) > 1:
        shapes = {name: values.shape for name, values in similarities.items()}
        raise InputError(
            f"fusion: got nearest {nearest} and similarities of shapes {shapes}; expected nearest of 1 or more and one "
            "shape; give the matrices of the same scenes"
        )
    stacked = np.stack([np.asarray(values, np.float64) for values in similarities.values()])
    votes = np.zeros(stacked.shape, bool)
    chosen = np.argsort(-stacked, axis=2, kind="stable")[:, :, :nearest]
    np.put_along_axis(votes, chosen, True, axis=2)
    good = votes.sum(axis=0) > len(stacked) // 2
    agreed = (votes & good).sum(axis=2)
    everyone = agreed.sum(axis=0)
    share = np.where(agreed > 0, agreed / np.maximum(everyone, 1), 0.1)
    share = np.where(everyone > 0, share, 1 / len(stacked))
    weight = (1 / share) / (1 / share).sum(axis=0)
    return (weight[:, :, None] * stacked).sum(axis=0)
