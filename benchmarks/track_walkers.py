"""Our tracking against ultralytics' own `model.track(...)`: same video, same weights, same truth, one run.

Needs RUNNER_REID_MIRROR (docs/examples/README.md) and `make results/eval_pets.json ...` to have run.
"""

import json
from pathlib import Path

import polars as pl

from runner_reid import evaluation
from runner_reid.networks import prepare_torchvision
from runner_reid.results import read_session_labels
from runner_reid.tables import FRAMES

VIDEO = "data/videos/pets09-s2l1/vtest.avi"
LABELS = ["data/videos/pets09-s2l1/gt.txt"]
WEIGHTS = "data/weights/yolov8n-seg_dequant.pt"


def theirs(size: int) -> pl.DataFrame:
    """What ultralytics tracks with ByteTrack as it comes, persons only: frame, track, x1..y2."""
    from ultralytics import YOLO

    found = YOLO(WEIGHTS).track(
        VIDEO, tracker="bytetrack.yaml", classes=[0], imgsz=size, stream=True, verbose=False, save=False
    )
    rows = [
        (frame, int(track), *box)
        for frame, result in enumerate(found)
        if result.boxes.id is not None
        for track, box in zip(result.boxes.id.tolist(), result.boxes.xyxy.tolist(), strict=True)
    ]
    return pl.DataFrame(rows, schema=["frame", "track", "x1", "y1", "x2", "y2"], orient="row")


def main() -> None:
    prepare_torchvision()
    labels = read_session_labels(LABELS, [VIDEO], FRAMES.read("results/pets/frames.parquet"))
    scores = {"ours": json.loads(Path("results/eval_pets.json").read_text())["tracking"]}
    for size in (640, 768):
        scores[f"ultralytics, imgsz {size}"] = evaluation.tracking_scores(labels.boxes, theirs(size), iou=0.5)
    print("| tracker | MOTA | IDF1 | HOTA |\n| --- | --- | --- | --- |")
    for name, score in scores.items():
        print(f"| {name} | {score['MOTA']:.3f} | {score['IDF1']:.3f} | {score['HOTA']:.3f} |")


if __name__ == "__main__":
    main()
