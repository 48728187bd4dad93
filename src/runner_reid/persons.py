"""Step 1: segment persons and cut them out (Suzuki et al., section 3.1)."""

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import polars as pl

from runner_reid import tables, yolo
from runner_reid.augmentation import vary_light
from runner_reid.background import moving_things
from runner_reid.crops import encode_crop
from runner_reid.errors import check_choice
from runner_reid.frames import read_frames
from runner_reid.masks import decode_mask, encode_mask, outward

ARCHITECTURE = "yolov8n-seg"
METHODS = ("yolov8", "background")


Find = Callable[[list[np.ndarray]], list[yolo.Detections]]
"""What finds persons in RGB pictures of one file, the surest first."""


def segment_persons(
    files: list[Path],
    frames: pl.DataFrame,
    *,
    method: str,
    yolov8: dict,
    background: dict,
    batch: int,
    crop_height: int,
    quality: int,
    weights: str | list[str],
    sha256: str,
    training: dict,
    device: str,
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Persons (table PERSONS) and their cut-outs (table PERSON_CROPS) of the given frames, a batch at a time.

    frames: rows of table FRAMES to look at.
    method: `yolov8` (choices of `yolo.detect`) or `background` (choices of `background.moving_things`, no weights).
    batch: frames in memory at once. crop_height: pixels a cut-out is shrunk to if it is higher.
    quality: of the encoded cut-out, 1..100; larger keeps more colour detail and costs bytes.
    weights: the path of the network's, else empty: our own, trained with `training`, or a pickle pinned by `sha256`.
    Raises InputError for another method, and for weights that cannot be used.
    """
    check_choice("persons.method", method, METHODS)
    if method == "yolov8":
        network = yolo.load(ARCHITECTURE, str(weights), sha256=sha256, training=training)
    for rows in frames.partition_by("file", maintain_order=True):
        if method == "yolov8":
            find: Find = partial(yolo.detect, network, **yolov8, device=device)
        else:
            find = moving_things(files, rows, **background)
        yield from cut_out(files, rows, find, batch=batch, crop_height=crop_height, quality=quality)


def cut_out(
    files: list[Path], frames: pl.DataFrame, find: Find, *, batch: int, crop_height: int, quality: int
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """As `segment_persons`, with any way to find them."""
    pictures = read_frames(files, frames)
    while chunk := list(itertools.islice(pictures, batch)):
        persons, crops = [], []
        for (frame, image), detections in zip(chunk, find([image for _, image in chunk]), strict=True):
            for person, (box, score, mask) in enumerate(
                zip(detections.xyxy, detections.score, detections.masks, strict=True)
            ):
                x1, y1, x2, y2 = outward(box)
                mask = mask[: image.shape[0] - y1, : image.shape[1] - x1]
                cut = encode_crop(image[y1:y2, x1:x2], mask, max_height=crop_height, quality=quality)
                persons.append((frame, person, *box, score, encode_mask(mask)))
                crops.append((frame, person, cut))
        yield (
            pl.DataFrame(persons, schema=tables.PERSONS.schema, orient="row"),
            pl.DataFrame(crops, schema=tables.PERSON_CROPS.schema, orient="row"),
        )


def training_pictures(
    videos: list[tuple[list[Path], pl.DataFrame, pl.DataFrame]],
    *,
    frames_per_video: int,
    size: int,
    seed: int,
) -> list[yolo.Example]:
    """Pictures with their truth to train the segmenter on, held in memory at the network's resolution.

    videos: per video its files, its frames (table FRAMES) and its truth (table TRUTH_PERSONS).
    frames_per_video: drawn at random, four of five from those that hold somebody.
    size: pixels of the longer side, as in `segment_persons`.
    """
    generator = np.random.default_rng(seed)
    examples = []
    for files, frames, truth in videos:
        busy = frames["frame"].is_in(truth["frame"].unique().implode()).to_numpy()
        share = np.where(busy, 0.8 / max(1, busy.sum()), 0.2 / max(1, (~busy).sum()))
        count = min(frames_per_video, frames.height)
        chosen = np.sort(generator.choice(frames.height, count, replace=False, p=share / share.sum()))
        seen = truth.partition_by("frame", as_dict=True)
        for frame, image in read_frames(files, frames[chosen]):
            examples.append(_picture(image, seen.get((frame,), truth.clear()), size))
    return examples


def training_windows(
    pictures: list[yolo.Example], *, window: int, min_scale: float, max_scale: float
) -> Callable[[np.random.Generator], Iterator[yolo.Example]]:
    """Augmented square windows out of `pictures`, without end: what `yolo.train` asks for.

    window: pixels of a side. min_scale, max_scale: a picture is scaled by a random factor between them.
    Three of four windows are centred near a person; windows are flipped, and their brightness, contrast,
    colour, blur and noise vary, so that the segmenter does not lean on one camera.
    """

    def examples(generator: np.random.Generator) -> Iterator[yolo.Example]:
        while True:
            image, boxes, labels = pictures[generator.integers(len(pictures))]
            scale = np.exp(generator.uniform(np.log(min_scale), np.log(max_scale)))
            height, width = labels.shape
            centre = generator.uniform([0, 0], [width, height])
            if len(boxes) and generator.random() < 0.75:
                box = boxes[generator.integers(len(boxes))]
                centre = (box[:2] + box[2:]) / 2 + generator.uniform(-0.4, 0.4, 2) * window / scale
            yield _window(image, labels, centre, scale, window, generator)

    return examples


def _picture(image: np.ndarray, truth: pl.DataFrame, size: int) -> yolo.Example:
    """One picture and its truth, shrunk so that its longer side is `size` pixels."""
    labels = np.zeros(image.shape[:2], np.uint8)
    boxes = truth.select("x1", "y1", "x2", "y2").to_numpy().reshape(-1, 4)
    for number, (box, mask) in enumerate(zip(boxes, truth["mask"], strict=True)):
        x1, y1, x2, y2 = outward(box)
        labels[y1:y2, x1:x2][decode_mask(mask, box)] = number + 1
    scale = size / max(image.shape[:2])
    shape = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    return (
        cv2.resize(image, shape, interpolation=cv2.INTER_AREA),
        boxes * scale,
        cv2.resize(labels, shape, interpolation=cv2.INTER_NEAREST_EXACT),
    )


def _window(
    image: np.ndarray,
    labels: np.ndarray,
    centre_xy: np.ndarray,
    scale: float,
    window: int,
    generator: np.random.Generator,
) -> yolo.Example:
    flip = -1.0 if generator.random() < 0.5 else 1.0
    matrix = np.array([[flip * scale, 0, 0], [0, scale, 0]])
    matrix[:, 2] = window / 2 - matrix[:, :2] @ centre_xy
    cut = cv2.warpAffine(image, matrix, (window, window), flags=cv2.INTER_LINEAR, borderValue=(114, 114, 114))
    map_ = cv2.warpAffine(labels, matrix, (window, window), flags=cv2.INTER_NEAREST)
    boxes, relabelled = [], np.zeros_like(map_)
    for number in np.unique(map_[map_ > 0]):
        y, x = np.nonzero(map_ == number)
        if len(x) >= 12:
            boxes.append((x.min(), y.min(), x.max() + 1, y.max() + 1))
            relabelled[y, x] = len(boxes)
    return vary_light(cut, generator), np.array(boxes, np.float32).reshape(-1, 4), relabelled
