"""What is known about a video in the end: `results/eval_{video}.json`."""

import json
import os
from pathlib import Path

import numpy as np
import polars as pl

from runner_reid import evaluation
from runner_reid.files import sha256, write_text
from runner_reid.labels import Labels, read_labels


def read_session_labels(paths: list[str], files: list[str], frames: pl.DataFrame) -> Labels:
    """The labels of a session, in its time. frames: table FRAMES. See `labels.read_labels`."""
    clips = frames.group_by("file").agg(start=pl.col("time_s").min(), end=pl.col("time_s").max()).sort("file")
    return read_labels(
        [Path(path) for path in paths],
        [Path(file).name for file in files],
        clips["start"].to_list(),
        clips["end"].to_list(),
        frames["time_s"].to_numpy(),
    )


def evaluate_video(
    video: str,
    *,
    scenes: pl.DataFrame,
    labels: Labels,
    scene_boxes: pl.DataFrame,
    track_boxes: pl.DataFrame,
    rankings: dict[str, dict[str, np.ndarray]],
    identities: dict[str, pl.DataFrame],
    provenance: dict,
    match_iou: float,
    tracking_iou: float,
    non_runners: list[str],
    paper: dict,
    bootstrap: int,
    seed: int,
) -> dict:
    """Every score of one video, as it is written to `results/eval_{video}.json`.

    scenes: table SCENES. scene_boxes: columns scene, frame, x1..y2. track_boxes: columns frame, track, x1..y2.
    rankings: arrays RANKING per system. identities: table IDENTITIES per system.
    match_iou, tracking_iou: overlaps from which a scene is a labelled passage, a box a labelled box.
    non_runners: names (without their number) of people who are no runners. paper: choices of `paper_scores`.
    bootstrap: resamplings for the interval of mAP; larger makes it steadier. seed: of the resampling.
    """
    matches = evaluation.match_scenes(
        scenes, labels.passes, scene_boxes=scene_boxes, label_boxes=labels.boxes, match_iou=match_iou
    )
    names = evaluation.scene_labels(scenes, labels.passes, matches)
    appearances = labels.appearances or dict(labels.passes.group_by("runner", maintain_order=True).len().iter_rows())
    result = {
        "video": video,
        "scenes": evaluation.scene_scores(names, labels.passes, non_runners=non_runners),
    }
    if labels.boxes is not None:
        result["tracking"] = evaluation.tracking_scores(labels.boxes, track_boxes, iou=tracking_iou)
    result["systems"] = {
        system: {
            "paper": evaluation.paper_scores(ranking["similarity"], ranking["allowed"], names, appearances, **paper),
            "strict": evaluation.strict_scores(
                ranking["similarity"],
                ranking["allowed"],
                names,
                non_runners=non_runners,
                bootstrap=bootstrap,
                seed=seed,
            ),
            "lap": {name: number_or_none(ranking[name]) for name in ("min_lap_s", "recurrence_s")},
            "identities": evaluation.identity_scores(
                identities[system]["runner"].to_numpy(), names, non_runners=non_runners
            )
            | {
                "purity": evaluation.runner_purity(identities[system]["runner"].to_numpy(), names),
                "doubtful": identities[system]
                .filter(pl.col("doubt") != "")
                .select("scene", why="doubt")
                .sort("scene")
                .to_dicts(),
            },
        }
        for system, ranking in rankings.items()
    }
    result["provenance"] = provenance
    return result


def figures(result: dict) -> dict:
    """The numbers of a result that runs are compared by: scenes, tracking, and those of each protocol per system.

    What is said of single runners and scenes (purity, doubtful), intervals and the provenance are left out.

    >>> figures({"video": "a", "scenes": {"found": 2}, "systems": {"hist": {"strict": {"mAP": 0.5, "mAP_ci95": [0]}}}})
    {'scenes': {'found': 2}, 'systems': {'hist': {'strict': {'mAP': 0.5}}}}
    """
    found: dict = {}
    for name, value in result.items():
        if isinstance(value, dict) and name not in ("provenance", "purity"):
            found[name] = figures(value)
        elif isinstance(value, int | float):
            found[name] = value
    return found


def comparison(result: dict) -> dict:
    """What `results/metrics_{video}.json` holds: the figures, and a table of mAP to draw, a row per system."""
    table = [
        {"system": system, "paper": scores["paper"]["mAP"], "strict": scores["strict"]["mAP"]}
        for system, scores in result["systems"].items()
    ]
    return {**figures(result), "table": table}


def match_curves(result: dict) -> pl.DataFrame:
    """The share of queries with a match within the first `rank`, as published (CMC): columns system, rank, share."""
    return pl.DataFrame(
        [
            (system, int(name.removeprefix("rank")), share)
            for system, scores in result["systems"].items()
            for name, share in scores["paper"].items()
            if name.startswith("rank")
        ],
        schema={"system": pl.String, "rank": pl.Int64, "share": pl.Float64},
        orient="row",
    )


def number_or_none(value: np.ndarray) -> float | None:
    """A number for JSON, which knows no NaN."""
    return float(value) if np.isfinite(value) else None


def write_json(result: dict, path: str | os.PathLike) -> None:
    """Write a result as JSON, atomically. Raises ValueError for NaN: an undefined score is null."""
    write_text(path, json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | os.PathLike) -> dict:
    """A result, as `write_json` wrote it."""
    return json.loads(Path(path).read_text())


def weights_sha256(paths: list[str]) -> dict[str, str]:
    """The sha256 of each file of weights, by its name without suffix."""
    return {Path(path).stem: sha256(path) for path in paths}


def rule_seconds(folder: str | os.PathLike) -> dict[str, float]:
    """The wall time of each rule, from Snakemake's benchmark files; jobs of one rule are added up."""
    seconds: dict[str, float] = {}
    for path in sorted(Path(folder).glob("*.tsv")):
        rule = path.name.split(".")[0]
        header, *rows = (line.split("\t") for line in path.read_text().splitlines())
        seconds[rule] = round(seconds.get(rule, 0.0) + sum(float(row[header.index("s")]) for row in rows), 2)
    return seconds
