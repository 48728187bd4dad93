"""How well each step does on a rendered video, against its whole truth: detections, classifier, cadence, shoes, scenes.

make results/eval_night.json && python benchmarks/steps.py night
"""

import json
import sys
from pathlib import Path

import numpy as np
import polars as pl
import yaml

from runner_reid import evaluation, tables
from runner_reid.results import read_session_labels
from runner_reid.runner_training import classifier_scores, label_crops


def main(video: str) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text())
    folder, truth = Path("results") / video, Path("data/labels") / video
    frames, persons = tables.FRAMES.read(folder / "frames.parquet"), tables.PERSONS.read(folder / "persons.parquet")
    people = tables.TRUTH_PERSONS.read(truth / "persons.parquet")
    labels = label_crops(persons, people, **params["training"]["runners"]["labels"])

    seen = people.filter(pl.col("runner") & (pl.col("visible") > 0.3)).select("frame", "actor")
    found = seen.join(labels, on=["frame", "actor"], how="semi").height
    print(f"segmenter: {found} of {seen.height} runners of whom over 30 % are visible found at IoU 0.5")

    scored = labels.join(tables.RUNNERS.read(folder / "runners.parquet"), on=["frame", "person"])
    scores = classifier_scores(scored["score"].to_numpy(), scored["runner"].to_numpy())
    print("classifier:", ", ".join(f"{name} {value:.4g}" for name, value in scores.items()))

    scenes = tables.SCENES.read(folder / "scenes.parquet")
    boxes = tables.SCENE_DETECTIONS.read(folder / "scene_detections.parquet")
    known = read_session_labels([f"{truth}/gt.txt", f"{truth}/identities.tsv"], [f"{video}.mp4"], frames)
    match_iou = params["evaluation"]["match_iou"]
    matches = evaluation.match_scenes(
        scenes, known.passes, scene_boxes=boxes, label_boxes=known.boxes, match_iou=match_iou
    )
    passes = tables.TRUTH_PASSES.read(truth / "passes.parquet")
    passes = passes.select(passage=pl.col("passage") + 1, true="cadence")  # MOT counts from 1
    cadence = matches.join(scenes, on="scene").join(passes, on="passage").filter(pl.col("cadence").is_not_nan())
    error = np.abs(cadence["cadence"].to_numpy() / cadence["true"].to_numpy() - 1)
    print(f"cadence: median error {np.median(error):.2%} over {len(error)} of {scenes.height} scenes")

    shoes = tables.SHOES.read(folder / "shoes.parquet")
    print(f"shoes: {shoes['scene'].n_unique()} of {scenes.height} scenes have one")
    result = json.loads(Path(f"results/eval_{video}.json").read_text())
    print("scenes:", result["scenes"], "tracking:", result["tracking"])
    for name, system in result["systems"].items():
        print(f"{name}: strict mAP {system['strict']['mAP']:.3f}, ARI {system['identities']['ARI']:.3f}")


if __name__ == "__main__":
    main(sys.argv[1])
