"""What the GRU autoencoder is worth on people it has not seen, epoch after epoch, at several learning rates.

It learns from the scenes of half the runners of a video (no label) and ranks those of the other half.

snakemake --cores 8 results/day_train/sequences.parquet && python benchmarks/gru_ae.py day_train
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import yaml

from runner_reid import evaluation, networks, ranking, similarity, tables
from runner_reid.crops import read_person_scenes
from runner_reid.extractors import color_hist, gru_ae
from runner_reid.results import read_session_labels

RATES = (0.001, 0.0001)
SHOWN = 4
"""Epochs between two lines."""
MIN_LAP_S = 34.0
CPU = torch.device("cpu")


def main(video: str) -> None:
    networks.prepare(threads=2)
    params = yaml.safe_load(Path("params.yaml").read_text())
    scenes, names, start_s = labelled_scenes(video, params)
    people = sorted(set(names))
    seen, unseen = (np.isin(names, half) for half in (people[::2], people[1::2]))
    choices = {
        key: value for key, value in params["extractors"]["color_hist"].items() if key not in ("method", "metric")
    }
    colour = similarity.compare(color_hist.extract(scenes, **choices)[1], metric="correlation")

    def score(together: np.ndarray, whose: np.ndarray) -> float:
        allowed = ranking.allowed_pairs(start_s[whose], min_lap_s=MIN_LAP_S)
        pairs = together[np.ix_(whose, whose)]
        return evaluation.strict_scores(pairs, allowed, names[whose], non_runners=[], bootstrap=0, seed=0)["mAP"]

    print(f"{video}: learns from {seen.sum()} scenes, ranks {unseen.sum()}; color_hist {score(colour, unseen):.3f}")
    for rate in RATES:
        fit = params["training"]["gru_ae"]["fit"] | {"learning_rate": rate}
        learnt = [scene for scene, own in zip(scenes, seen, strict=True) if own]
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = Path(folder) / "checkpoint.pt"
            encoder, rows, _ = gru_ae.train(learnt, **fit, device=CPU, checkpoint=checkpoint, fingerprint=video)
            for row in rows:
                if row["epoch"] % SHOWN == SHOWN - 1:
                    extractor = {key: fit[key] for key in ("min_frames", "initial_state")}
                    feature = gru_ae.extract(scenes, **extractor, state=encoder.state_dict(), device=CPU)[1]
                    gait = similarity.compare(feature, metric="cosine")
                    spread = gait[~np.eye(len(gait), dtype=bool)].std()
                    print(
                        f"rate {rate:g} epoch {row['epoch'] + 1}: error {row['train_loss']:.4f} and "
                        f"{row['validation_loss']:.4f} held out, similarities spread by {spread:.4f}; mAP "
                        f"gru {score(gait, unseen):.3f}, gru_hist {score(0.85 * gait + 0.15 * colour, unseen):.3f}",
                        flush=True,
                    )


def labelled_scenes(video: str, params: dict) -> tuple[list, np.ndarray, np.ndarray]:
    """The crops of the scenes of labelled runners, who they are, and when they start."""
    folder, labels = Path("results") / video, f"data/labels/{video}"
    frames, scenes = tables.FRAMES.read(folder / "frames.parquet"), tables.SCENES.read(folder / "scenes.parquet")
    known = read_session_labels([f"{labels}/gt.txt", f"{labels}/identities.tsv"], [f"{video}.mp4"], frames)
    boxes = tables.SCENE_DETECTIONS.read(folder / "scene_detections.parquet")
    match_iou = params["evaluation"]["match_iou"]
    matches = evaluation.match_scenes(
        scenes, known.passes, scene_boxes=boxes, label_boxes=known.boxes, match_iou=match_iou
    )
    names = dict(zip(scenes["scene"], evaluation.scene_labels(scenes, known.passes, matches), strict=True))
    start_s = dict(scenes.select("scene", "start_s").iter_rows())
    sequences = tables.SEQUENCES.read(folder / "sequences.parquet")
    crops = [
        c for c in read_person_scenes(folder / "person_crops.parquet", sequences) if names[c.scene].startswith("runner")
    ]
    crops.sort(key=lambda crop: crop.scene)
    return crops, np.array([names[c.scene] for c in crops]), np.array([start_s[c.scene] for c in crops])


if __name__ == "__main__":
    main(sys.argv[1])
