"""Average precision, on cases whose value is known."""

import numpy as np
import pytest

from runner_reid.detection_scores import average_precision
from runner_reid.yolo import Detections

BOX = (10, 20, 50, 100)
OTHER = (60, 10, 90, 70)


def picture(*boxes: tuple) -> tuple:
    """A picture that holds boxes that their masks fill."""
    labels = np.zeros((120, 100), np.uint8)
    for number, (x1, y1, x2, y2) in enumerate(boxes):
        labels[y1:y2, x1:x2] = number + 1
    return np.zeros((120, 100, 3), np.uint8), np.array(boxes, float).reshape(-1, 4), labels


def found(*boxes: tuple, score: float = 0.9, masks: bool = False, cover: float = 1.0) -> Detections:
    """Detections, the first the surest; masks cover that share of their box from above."""
    xyxy = np.array(boxes, np.float32).reshape(-1, 4)
    scores = np.array([score - 0.1 * i for i in range(len(boxes))], np.float32)
    drawn = []
    for x1, y1, x2, y2 in xyxy.astype(int):
        drawn.append(np.arange(y2 - y1)[:, None].repeat(x2 - x1, axis=1) < cover * (y2 - y1))
    return Detections(xyxy, scores, drawn if masks else [])


def moved(box: tuple, iou: float) -> tuple:
    """A box cut off below so that it overlaps the other by `iou`."""
    x1, y1, x2, y2 = box
    return x1, y1, x2, y1 + iou * (y2 - y1)


@pytest.mark.parametrize(
    "truth, detections, box, box50",
    [
        ([], [], 0.0, 0.0),
        ([picture()], [found()], 0.0, 0.0),
        ([picture(BOX)], [found()], 0.0, 0.0),
        ([picture()], [found(BOX)], 0.0, 0.0),
        ([picture(BOX)], [found(BOX)], 1.0, 1.0),
        ([picture(BOX, OTHER), picture()], [found(OTHER, BOX), found()], 1.0, 1.0),
        ([picture(BOX)], [found(OTHER)], 0.0, 0.0),
        ([picture(BOX)], [found(OTHER, BOX)], 0.5, 0.5),
        ([picture(BOX)], [found(BOX, OTHER)], 1.0, 1.0),
        ([picture(BOX)], [found(BOX, BOX)], 1.0, 1.0),
        ([picture(BOX, OTHER)], [found(BOX)], 51 / 101, 51 / 101),
        ([picture(BOX), picture(BOX)], [found(BOX), found()], 51 / 101, 51 / 101),
        ([picture(BOX)], [found(moved(BOX, 0.76))], 0.6, 1.0),
        ([picture(BOX)], [found(moved(BOX, 0.49))], 0.0, 0.0),
    ],
    ids=[
        "nothing", "empty picture", "missed", "only wrong", "right", "two", "elsewhere", "wrong one first",
        "wrong one last", "twice", "half found", "one of two pictures", "overlaps by .76", "overlaps by .49",
    ],
)  # fmt: skip
def test_average_precision_of_boxes(truth, detections, box, box50):
    scores = average_precision(truth, detections)
    assert scores == pytest.approx({"box": box, "box50": box50}, abs=1e-6)


@pytest.mark.parametrize("cover, mask, mask50", [(1.0, 1.0, 1.0), (0.751, 0.6, 1.0), (0.3, 0.0, 0.0)])
def test_average_precision_of_masks(cover, mask, mask50):
    scores = average_precision([picture(BOX)], [found(BOX, masks=True, cover=cover)])
    assert scores == pytest.approx({"box": 1.0, "box50": 1.0, "mask": mask, "mask50": mask50}, abs=1e-6)


def test_masks_at_the_edge_of_the_picture():
    scores = average_precision([picture((80, 100, 100, 120))], [found((80, 100, 100, 120), masks=True)])
    assert scores["mask"] == pytest.approx(1.0)
    outside = found((80.5, 100.2, 104.0, 125.0), masks=True)
    assert 0 < average_precision([picture((80, 100, 100, 120))], [outside])["mask50"] <= 1.0


def test_nothing_is_printed(capsys):
    average_precision([picture(BOX)], [found(BOX)])
    assert capsys.readouterr().out == ""
