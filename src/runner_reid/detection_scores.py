"""How well a detector finds what is there: COCO average precision, through pycocotools."""

import contextlib
import io

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from runner_reid.masks import outward
from runner_reid.yolo import Detections, Example


def average_precision(truth: list[Example], found: list[Detections]) -> dict[str, float]:
    """Average precision of boxes, and of masks where both sides have them: {"box": .., "box50": .., "mask": ..}.

    truth, found: one entry per picture. `box` and `mask` are the mean over IoU .50 to .95, `box50` at .50.
    """
    scores: dict[str, float] = {}
    masks = any(len(detections.masks) for detections in found) and any(labels.any() for _, _, labels in truth)
    for kind in ("bbox", "segm") if masks else ("bbox",):
        with contextlib.redirect_stdout(io.StringIO()):
            dataset = COCO()
            dataset.dataset = _dataset(truth, kind)
            dataset.createIndex()
            results = _results(truth, found, kind)
            if not results or not dataset.dataset["annotations"]:
                return {"box": 0.0, "box50": 0.0}
            evaluation = COCOeval(dataset, dataset.loadRes(results), kind)
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        name = "box" if kind == "bbox" else "mask"
        scores |= {name: float(evaluation.stats[0]), f"{name}50": float(evaluation.stats[1])}
    return scores


def _dataset(truth: list[Example], kind: str) -> dict:
    annotations: list[dict] = []
    for image, (_, boxes, labels) in enumerate(truth):
        for number, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
            entry: dict = {"image_id": image, "category_id": 1, "iscrowd": 0, "id": len(annotations) + 1}
            entry |= {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1)}
            if kind == "segm":
                entry["segmentation"] = coco_mask.encode(np.asfortranarray(labels == number + 1, dtype=np.uint8))
            annotations.append(entry)
    images = [{"id": i, "height": labels.shape[0], "width": labels.shape[1]} for i, (_, _, labels) in enumerate(truth)]
    return {
        "info": {},
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "object"}],
    }


def _results(truth: list[Example], found: list[Detections], kind: str) -> list[dict]:
    results = []
    for image, ((_, _, labels), detections) in enumerate(zip(truth, found, strict=True)):
        for number, ((x1, y1, x2, y2), score) in enumerate(
            zip(detections.xyxy.tolist(), detections.score.tolist(), strict=True)
        ):
            entry = {"image_id": image, "category_id": 1, "score": score}
            if kind == "segm":
                full = np.zeros(labels.shape, np.uint8)
                left, upper, right, lower = outward(detections.xyxy[number])
                window = full[upper:lower, left:right]
                window[:] = detections.masks[number][: window.shape[0], : window.shape[1]]
                entry["segmentation"] = coco_mask.encode(np.asfortranarray(full))
            else:
                entry["bbox"] = [x1, y1, x2 - x1, y2 - y1]
            results.append(entry)
    return results
