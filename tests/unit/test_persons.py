"""Segmenting: tables that fit each other; and what the segmenter learns from."""

import itertools

import cv2
import numpy as np
import polars as pl
import pytest

from runner_reid import networks, persons, tables, yolo
from runner_reid.crops import decode_crop
from runner_reid.errors import InputError
from runner_reid.masks import decode_mask

CHOICES = {
    "method": "yolov8",
    "yolov8": {"size": 96, "min_score": 0.0, "match_iou": 0.7},
    "background": {},
    **{"batch": 4, "crop_height": 40, "quality": 80},
    **{"weights": "", "sha256": "", "training": {}, "device": "cpu"},
}
BOX = ("x1", "y1", "x2", "y2")


@pytest.fixture(scope="module")
def network():
    """A segmenter with random weights: it finds people everywhere."""
    networks.seed_everything(0)
    return yolo.predictor("yolov8n-seg", yolo.build("yolov8n-seg").state_dict())


@pytest.fixture(autouse=True)
def loaded(monkeypatch, network):
    monkeypatch.setattr(yolo, "load", lambda *_, **__: network)


def segment(practice, frames, **changes):
    parts = list(persons.segment_persons([practice.path], frames, **{**CHOICES, **changes}))
    found = pl.concat([tables.PERSONS.empty(), *(part for part, _ in parts)])
    cut_out = pl.concat([tables.PERSON_CROPS.empty(), *(part for _, part in parts)])
    return len(parts), tables.PERSONS.check(found), tables.PERSON_CROPS.check(cut_out)


@pytest.mark.parametrize("count, batches", [(0, 0), (1, 1), (4, 1), (9, 3)])
def test_tables_fit_each_other(practice, count, batches):
    frames = practice.frames[20 : 20 + count]
    parts, found, cut_out = segment(practice, frames)
    assert parts == batches and set(found["frame"]) == set(frames["frame"])
    assert found.select("frame", "person").equals(cut_out.select("frame", "person"))
    for row, image in zip(found.iter_rows(named=True), cut_out["image"], strict=True):
        box = np.array([row[edge] for edge in BOX])
        assert 0 <= box[0] < box[2] <= 320 and 0 <= box[1] < box[3] <= 180
        picture, alpha = decode_crop(image)
        mask = decode_mask(row["mask"], box)
        assert picture.shape[0] <= CHOICES["crop_height"] and not picture[~alpha].any()
        assert picture.shape[1] / picture.shape[0] == pytest.approx(mask.shape[1] / mask.shape[0], rel=0.1)
    for rows in found.partition_by("frame"):
        assert rows["person"].to_list() == list(range(rows.height)) and rows["score"].is_sorted(descending=True)


def test_frames_in_memory_do_not_change_what_is_found(practice):
    frames = practice.frames[20:25]
    _, one, _ = segment(practice, frames, batch=1)
    _, all_, _ = segment(practice, frames, batch=8)
    assert one.select("frame", "person", *BOX).equals(all_.select("frame", "person", *BOX))


def test_nobody_is_found(practice):
    parts, found, _ = segment(practice, practice.frames[20:24], yolov8={**CHOICES["yolov8"], "min_score": 1.0})
    assert parts == 1 and found.height == 0


def test_an_unknown_method_is_named(practice):
    with pytest.raises(InputError, match=r"persons\.method: got 'eyes', expected one of yolov8, background"):
        segment(practice, practice.frames[:1], method="eyes")


# --- what it learns from ---------------------------------------------------------------------------------------------


def pictures_of(practice, truth=None, **changes):
    choices = {"frames_per_video": 10, "size": 160, "seed": 0, **changes}
    video = ([practice.path], practice.frames, practice.truth.persons if truth is None else truth)
    return persons.training_pictures([video], **choices)


@pytest.mark.parametrize("size, shape", [(160, (90, 160)), (320, (180, 320)), (640, (360, 640))])
def test_pictures_hold_their_truth(practice, size, shape):
    pictures = pictures_of(practice, size=size)
    assert len(pictures) == 10
    for image, boxes, labels in pictures:
        assert image.shape == (*shape, 3) and labels.shape == shape and image.dtype == labels.dtype == np.uint8
        assert set(np.unique(labels)) - {0} <= set(range(1, len(boxes) + 1))
        for number, (x1, y1, x2, y2) in enumerate(boxes):
            y, x = np.nonzero(labels == number + 1)
            if len(x):
                assert x1 - 1 <= x.min() and x.max() + 1 <= x2 + 1 and y1 - 1 <= y.min() and y.max() + 1 <= y2 + 1


def test_most_pictures_hold_somebody(practice):
    held = [len(boxes) > 0 for _, boxes, _ in pictures_of(practice, frames_per_video=20)]
    assert 10 < sum(held) < 20
    nobody = pictures_of(practice, tables.TRUTH_PERSONS.empty())
    assert len(nobody) == 10 and not any(len(boxes) or labels.any() for _, boxes, labels in nobody)


@pytest.mark.parametrize("frames_per_video, count", [(0, 0), (3, 3), (999, 60)])
def test_the_seed_chooses_the_pictures(practice, frames_per_video, count):
    one, again, other = (pictures_of(practice, frames_per_video=frames_per_video, seed=seed) for seed in (0, 0, 1))
    assert len(one) == len(other) == count
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(one, again, strict=True))
    different = any(not np.array_equal(a[0], b[0]) for a, b in zip(one, other, strict=True))
    assert different == (0 < count < 60)


def block(x1: int, y1: int, x2: int, y2: int, shape=(200, 300)):
    """A dark picture with one bright block."""
    image, labels = np.full((*shape, 3), 30, np.uint8), np.zeros(shape, np.uint8)
    image[y1:y2, x1:x2], labels[y1:y2, x1:x2] = 180, 1
    return image, np.array([[x1, y1, x2, y2]], float), labels


def windows(pictures, count=40, seed=0, **changes):
    choices = {"window": 64, "min_scale": 0.5, "max_scale": 1.5, **changes}
    return list(itertools.islice(persons.training_windows(pictures, **choices)(np.random.default_rng(seed)), count))


def test_windows_follow_their_pictures():
    found = windows([block(100, 60, 140, 110)])
    assert sum(len(boxes) > 0 for _, boxes, _ in found) > 20
    for image, boxes, labels in found:
        assert image.shape == (64, 64, 3) and labels.shape == (64, 64) and boxes.shape == (labels.max(), 4)
        for number, (x1, y1, x2, y2) in enumerate(boxes.astype(int)):
            y, x = np.nonzero(labels == number + 1)
            assert (x.min(), y.min(), x.max() + 1, y.max() + 1) == (x1, y1, x2, y2)
            inside = cv2.erode((labels == number + 1).astype(np.uint8), np.ones((5, 5))).astype(bool)
            if inside.any() and (labels == 0).any():
                assert image[inside].mean() > image[labels == 0].mean()


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.5])
def test_windows_are_scaled(scale):
    found = windows([block(130, 90, 150, 110)], min_scale=scale, max_scale=scale)
    whole = [boxes[0] for _, boxes, _ in found if len(boxes) and boxes.min() > 0 and boxes.max() < 64]
    assert len(whole) > 5
    assert all(abs(box[2] - box[0] - 20 * scale) <= 1 and abs(box[3] - box[1] - 20 * scale) <= 1 for box in whole)


def test_windows_are_flipped():
    image, boxes, labels = block(130, 90, 170, 110)
    image[:, :150][labels[:, :150] > 0] = 90
    brighter_left = [
        cut[labels == 1][:, 0][:4].mean() > cut[labels == 1][:, 0][-4:].mean()
        for cut, boxes, labels in windows([(image, boxes, labels)], min_scale=1, max_scale=1)
        if (labels == 1).sum() > 700
    ]
    assert 0 < sum(brighter_left) < len(brighter_left)


def test_windows_of_empty_pictures_are_empty():
    image, _, labels = block(0, 0, 0, 0)
    assert all(
        boxes.shape == (0, 4) and not labels.any() for _, boxes, labels in windows([(image, np.zeros((0, 4)), labels)])
    )


def test_the_generator_chooses_the_windows():
    pictures = [block(100, 60, 140, 110)]
    one, again, other = (windows(pictures, 5, seed) for seed in (0, 0, 1))
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(one, again, strict=True))
    assert not all(np.array_equal(a[0], b[0]) for a, b in zip(one, other, strict=True))
