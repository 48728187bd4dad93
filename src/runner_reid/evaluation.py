"""How right the results are, against what a user knows."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score
from sklearn.metrics.cluster import pair_confusion_matrix
from trackeval.metrics import CLEAR, HOTA, Identity

from runner_reid.errors import InputError
from runner_reid.labels import is_runner

BOX = ["x1", "y1", "x2", "y2"]


def match_scenes(
    scenes: pl.DataFrame,
    passes: pl.DataFrame,
    *,
    scene_boxes: pl.DataFrame | None,
    label_boxes: pl.DataFrame | None,
    match_iou: float,
) -> pl.DataFrame:
    """Which found scene is which labelled passage, one to one.

    scenes: columns scene, start_s, end_s. passes: Labels.passes. scene_boxes: scene, frame, x1, y1, x2, y2 of
    the detections of each scene, label_boxes: Labels.boxes; used if neither is None.
    Returns the table scene, passage (int32), in order of scene.

    With boxes, a pair may match if the intersection over union of their times is at least match_iou, and the
    mean IoU of their boxes over the frames both have at least half of it (people who annotate draw boxes of
    different width). Without boxes a label may be a whole clip around a short scene, so it is the
    intersection over the shorter of the two durations that must reach match_iou. The matches with the largest
    sum of temporal IoU (times box IoU) are taken. A larger match_iou leaves more scenes unmatched.
    """
    start, end = (scenes[column].to_numpy()[:, None] for column in ("start_s", "end_s"))
    pass_start, pass_end = (passes[column].to_numpy()[None, :] for column in ("start_s", "end_s"))
    shared = np.maximum(np.minimum(end, pass_end) - np.maximum(start, pass_start), 0)
    gain = _share(shared, (end - start) + (pass_end - pass_start) - shared)
    if scene_boxes is None or label_boxes is None:
        possible = _share(shared, np.minimum(end - start, pass_end - pass_start)) >= match_iou
    else:
        boxes = _mean_box_iou(scenes, passes, scene_boxes, label_boxes)
        possible = (gain >= match_iou) & (boxes >= match_iou / 2)
        gain = gain * boxes
    gain = np.where(possible, gain, 0)
    rows, columns = linear_sum_assignment(gain, maximize=True)
    matched = gain[rows, columns] > 0
    matches = {"scene": scenes["scene"][rows[matched]], "passage": passes["passage"][columns[matched]]}
    return pl.DataFrame(matches, schema={"scene": pl.Int32, "passage": pl.Int32}).sort("scene")


def scene_labels(scenes: pl.DataFrame, passes: pl.DataFrame, matches: pl.DataFrame) -> np.ndarray:
    """The name of the passage each scene was matched to by match_scenes, "" for none; (N,) str."""
    named = scenes.select("scene").join(matches, on="scene", how="left", maintain_order="left")
    named = named.join(passes.select("passage", "runner"), on="passage", how="left", maintain_order="left")
    return np.array(named["runner"].fill_null("").to_list(), dtype=np.str_)


def scene_scores(labels: np.ndarray, passes: pl.DataFrame, *, non_runners: Sequence[str]) -> dict:
    """How many labelled passages of runners were found, and how many scenes are something else.

    labels: (N,) names of the found scenes (scene_labels). A scene of a non-runner is spurious too.
    Returns found, labelled, matched, missed, spurious (counts), recall = matched / labelled and
    precision = matched / found (None where that divides by 0).
    """
    found = len(labels)
    labelled = int(is_runner(passes["runner"].to_list(), non_runners=non_runners).sum())
    matched = int(is_runner(labels, non_runners=non_runners).sum())
    return {
        "found": found,
        "labelled": labelled,
        "matched": matched,
        "missed": labelled - matched,
        "spurious": found - matched,
        "recall": matched / labelled if labelled else None,
        "precision": matched / found if found else None,
    }


def paper_scores(
    similarity: np.ndarray,
    allowed: np.ndarray,
    labels: np.ndarray,
    appearances: dict[str, int],
    *,
    map_skips: Sequence[str],
    rank_skips: Sequence[str],
) -> dict:
    """Ranking scores by the published protocol of S0, slips included: for its table only. See strict_scores.

    similarity, allowed: (N, N). labels: (N,) names, "" for unlabelled scenes, which are never queries.
    appearances: true number of passages per name, found or not.
    map_skips, rank_skips: kinds of names (without final digits) that are no queries in mAP, in rank-n.

    Pairs that are not allowed, the query itself among them, get similarity 0 and stay in the ranking, so the
    query can count as a late hit of itself. AP is the sum of the precision at the first `appearances - 1`
    hits, divided by `appearances - 1`, so passages that were never found cost score. Rank-n asks for the
    query's name among the first n. Equal similarities (the zeros) are ordered by numpy's default sort,
    reversed, as in the published code; that sort is not stable, so the fifth decimal of mAP depends on the
    processor (AVX-512 gives the figures of the test).

    Returns mAP, rank1, rank5, rank10 (0..1, None without queries), queries (of mAP), and as ceiling the mAP
    and rank1 of a perfect similarity: 1 between scenes of one name, 1/2 between others.
    Raises InputError if a query of mAP has no appearances.
    """
    labels = np.asarray(labels, dtype=np.str_)
    queries = is_runner(labels, non_runners=map_skips)
    lacking = sorted(set(labels[queries].tolist()) - set(appearances))
    if lacking:
        raise InputError(
            f"appearances lack {', '.join(lacking)}; expected every name that is a query; add or skip them"
        )
    true_hits = np.array([appearances.get(name, 0) - 1 for name in labels.tolist()], dtype=np.int64)
    queries &= true_hits > 0
    ranked = is_runner(labels, non_runners=rank_skips)
    same = labels[:, None] == labels[None, :]

    def scores(alike: np.ndarray) -> dict:
        order = np.argsort(np.where(allowed, alike, 0), axis=1)[:, ::-1]
        hit = np.take_along_axis(same, order, axis=1)
        counted = hit & (hit.cumsum(axis=1) <= true_hits[:, None])
        precision = (counted * _precision(hit))[queries].sum(axis=1) / true_hits[queries]
        ranks = {f"rank{n}": _mean(hit[ranked, :n].any(axis=1)) for n in (1, 5, 10)}
        return {"mAP": _mean(precision)} | ranks

    perfect = scores(np.where(same, 1.0, 0.5))
    ceiling = {name: perfect[name] for name in ("mAP", "rank1")}
    return scores(similarity) | {"queries": int(queries.sum()), "ceiling": ceiling}


def strict_scores(
    similarity: np.ndarray,
    allowed: np.ndarray,
    labels: np.ndarray,
    *,
    non_runners: Sequence[str],
    bootstrap: int,
    seed: int,
) -> dict:
    """Ranking scores without the slips of the published protocol: what cannot be the runner is not ranked.

    similarity: (N, N) without NaN. allowed: (N, N) bool; forbidden pairs and the query are taken out of its
    ranking. labels: (N,) names; scenes of non-runners and unlabelled ones ("") stay in the ranking and are
    never queries. Queries are the scenes of runners with at least one allowed scene of the same name. Equal
    similarities keep the order of scenes.

    Returns mAP, its 95 % interval mAP_ci95, rank1, rank5, mINP (mean share of hits down to the last one; Ye
    et al. 2021, AGW) in 0..1, None without queries, and queries. The interval resamples runners, `bootstrap`
    times (more: steadier limits; 0: None), since scenes of one runner are not independent.
    """
    labels = np.asarray(labels, dtype=np.str_)
    kept = allowed & ~np.eye(len(labels), dtype=bool)
    order = np.argsort(np.where(kept, -similarity, np.inf), axis=1, kind="stable")
    hit = np.take_along_axis((labels[:, None] == labels[None, :]) & kept, order, axis=1)
    queries = is_runner(labels, non_runners=non_runners) & hit.any(axis=1)
    hit, names = hit[queries], labels[queries]
    hits = hit.sum(axis=1)
    precision = (hit * _precision(hit)).sum(axis=1) / hits
    last = hit.shape[1] - hit[:, ::-1].argmax(axis=1) if hits.size else hits
    return {
        "mAP": _mean(precision),
        "mAP_ci95": _interval(precision, names, bootstrap, seed),
        "rank1": _mean(hit[:, :1].any(axis=1)),
        "rank5": _mean(hit[:, :5].any(axis=1)),
        "mINP": _mean(hits / last),
        "queries": int(queries.sum()),
    }


def identity_scores(runner: np.ndarray, labels: np.ndarray, *, non_runners: Sequence[str]) -> dict:
    """How well runner numbers agree with names, over the labelled scenes of runners.

    runner: (N,) numbers. labels: (N,) names, "" for none. Returns found and true (how many numbers and names
    these scenes have), ARI (adjusted Rand index, 1 = the same grouping, 0 = chance), pairwise_precision (of
    the pairs of scenes given one number, how many have one name), pairwise_recall (the reverse), pairwise_f1;
    ARI_all is over all labelled scenes, non-runners included. None where there is no scene or no such pair.
    """
    labels = np.asarray(labels, dtype=np.str_)
    runs = is_runner(labels, non_runners=non_runners)
    given, true = runner[runs], labels[runs]
    (_, wrong), (lost, right) = pair_confusion_matrix(true, given).tolist() if true.size else ((0, 0), (0, 0))

    def ratio(part: float, whole: float) -> float | None:
        return float(part / whole) if whole else None

    return {
        "found": len(np.unique(given)),
        "true": len(np.unique(true)),
        "ARI": _rand_index(true, given),
        "ARI_all": _rand_index(labels[labels != ""], runner[labels != ""]),
        "pairwise_precision": ratio(right, right + wrong),
        "pairwise_recall": ratio(right, right + lost),
        "pairwise_f1": ratio(2 * right, 2 * right + wrong + lost),
    }


def runner_purity(runner: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Per runner number, as text, the share of its labelled scenes that have its most frequent name.

    runner: (N,) numbers. labels: (N,) names, "" for none; a runner without labelled scenes is left out.

    >>> runner_purity(np.array([0, 0, 0, 2, 5]), np.array(["ann", "ann", "bob", "bob", ""]))
    {'0': 0.6666666666666666, '2': 1.0}
    """
    labels = np.asarray(labels, dtype=np.str_)
    named = {int(number): labels[(runner == number) & (labels != "")] for number in np.unique(runner)}
    return {
        str(number): float(np.unique(names, return_counts=True)[1].max() / names.size)
        for number, names in named.items()
        if names.size
    }


def tracking_scores(labelled: pl.DataFrame, found: pl.DataFrame, *, iou: float) -> dict:
    """MOTA (Bernardin 2008), IDF1 (Ristani 2016) and HOTA (Luiten 2021), by trackeval.

    labelled: frame, passage, x1, y1, x2, y2, counted (Labels.boxes). found: frame, track, x1, y1, x2, y2.
    As MOTChallenge does with distractors: in each frame all labelled boxes are assigned to found ones (IoU at
    least `iou`); found boxes assigned to uncounted ones are dropped, and then the uncounted ones. A larger
    `iou` asks for closer boxes in MOTA and IDF1; HOTA is the mean over its own 19 thresholds.
    Returns each as a number up to 1 (MOTA may be negative), None if no box is counted.
    """
    if not labelled["counted"].any():
        return {"MOTA": None, "IDF1": None, "HOTA": None}
    counted = labelled["counted"].to_numpy()
    passage = np.full(len(counted), -1)
    passages, passage[counted] = np.unique(labelled["passage"].to_numpy()[counted], return_inverse=True)
    tracks, track = np.unique(found["track"].to_numpy(), return_inverse=True)
    boxes, found_boxes = (table.select(BOX).to_numpy().astype(np.float64) for table in (labelled, found))
    frames = np.union1d(labelled["frame"].to_numpy(), found["frame"].to_numpy())
    data: dict = {"gt_ids": [], "tracker_ids": [], "similarity_scores": []}
    for rows, columns in zip(_rows_of(labelled, frames), _rows_of(found, frames), strict=True):
        alike = _box_iou(boxes[rows][:, None], found_boxes[columns][None])
        best, taken = linear_sum_assignment(np.where(alike >= iou, alike, 0), maximize=True)
        dropped = taken[(alike[best, taken] >= iou) & ~counted[rows[best]]]
        kept = np.setdiff1d(np.arange(len(columns)), dropped)
        data["gt_ids"].append(passage[rows[counted[rows]]])
        data["tracker_ids"].append(track[columns[kept]])
        data["similarity_scores"].append(alike[counted[rows]][:, kept])
    data |= {
        "num_timesteps": len(frames),
        "num_gt_ids": len(passages),
        "num_tracker_ids": len(tracks),
        "num_gt_dets": int(counted.sum()),
        "num_tracker_dets": sum(map(len, data["tracker_ids"])),
    }
    config = {"THRESHOLD": iou, "PRINT_CONFIG": False}
    return {
        "MOTA": float(CLEAR(config).eval_sequence(data)["MOTA"]),
        "IDF1": float(Identity(config).eval_sequence(data)["IDF1"]),
        "HOTA": float(np.mean(HOTA().eval_sequence(data)["HOTA"])),
    }


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _mean(values: ArrayLike) -> float | None:
    values = np.asarray(values)
    return float(values.mean()) if values.size else None


def _precision(hit: np.ndarray) -> np.ndarray:
    """(Q, N) share of hits down to each rank."""
    return hit.cumsum(axis=1) / np.arange(1, hit.shape[1] + 1)


def _interval(values: np.ndarray, names: np.ndarray, bootstrap: int, seed: int) -> list[float] | None:
    """95 % interval of the mean of `values` when their names are drawn anew, with replacement."""
    if not values.size or not bootstrap:
        return None
    _, group = np.unique(names, return_inverse=True)
    total, size = np.bincount(group, values), np.bincount(group)
    drawn = np.random.default_rng(seed).integers(len(size), size=(bootstrap, len(size)))
    means = total[drawn].sum(axis=1) / size[drawn].sum(axis=1)
    return np.quantile(means, [0.025, 0.975]).tolist()


def _rand_index(true: np.ndarray, given: np.ndarray) -> float | None:
    return float(adjusted_rand_score(true, given)) if true.size else None


def _box_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (..., 4) as x1, y1, x2, y2; leading axes broadcast."""
    sides = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    shared = np.maximum(sides, 0).prod(axis=-1)
    areas = [(boxes[..., 2:] - boxes[..., :2]).prod(axis=-1) for boxes in (first, second)]
    return _share(shared, areas[0] + areas[1] - shared)


def _rows_of(table: pl.DataFrame, frames: np.ndarray) -> list[np.ndarray]:
    """The row numbers of `table` in each of `frames` (sorted)."""
    frame = table["frame"].to_numpy()
    order = np.argsort(frame, kind="stable")
    return np.split(order, np.searchsorted(frame[order], frames[1:]))


def _mean_box_iou(
    scenes: pl.DataFrame, passes: pl.DataFrame, scene_boxes: pl.DataFrame, label_boxes: pl.DataFrame
) -> np.ndarray:
    """(S, P) mean IoU over the frames a scene and a passage both have, 0 where they share none."""
    pairs = scene_boxes.select("scene", "frame", *BOX).join(
        label_boxes.select("passage", "frame", *BOX), on="frame", suffix="_label"
    )
    corners = pairs.select(BOX).to_numpy(), pairs.select([f"{name}_label" for name in BOX]).to_numpy()
    means = pairs.with_columns(iou=_box_iou(*(boxes.astype(np.float64) for boxes in corners)))
    means = means.group_by("scene", "passage").agg(pl.col("iou").mean())
    means = means.join(scenes.select("scene").with_row_index("row"), on="scene")
    means = means.join(passes.select("passage").with_row_index("column"), on="passage")
    matrix = np.zeros((scenes.height, passes.height))
    matrix[means["row"].to_numpy(), means["column"].to_numpy()] = means["iou"].to_numpy()
    return matrix
