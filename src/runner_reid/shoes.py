"""Step 3: detect shoes on runner crops at full resolution (Suzuki et al., section 3.4)."""

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import polars as pl
from ultralytics import YOLO

from runner_reid import tables, yolo
from runner_reid.augmentation import vary_light
from runner_reid.crops import encode_crop
from runner_reid.errors import check_choice
from runner_reid.frames import read_frames
from runner_reid.masks import decode_mask, outward

ARCHITECTURE = "yolov8n"
METHODS = ("yolov8", "feet")


Cut = tuple[dict, np.ndarray, np.ndarray]
"""A detection of a runner (row of PERSONS, with its scene), its picture (H, W, 3) RGB, and where that lies (x, y)."""
Find = Callable[[list[Cut]], list[tuple[np.ndarray, np.ndarray]]]
"""What finds shoes: per cut their boxes (M, 4) in its pixels and scores (M,), the surest first."""


def detect_shoes(
    files: list[Path],
    frames: pl.DataFrame,
    persons: pl.DataFrame,
    sequences: pl.DataFrame,
    *,
    method: str,
    yolov8: dict,
    feet: dict,
    frames_per_scene: int,
    shoes_per_scene: int,
    margin: float,
    min_owned: float,
    batch: int,
    quality: int,
    weights: str | list[str],
    sha256: str,
    training: dict,
    device: str,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The clearest shoes of each scene (tables SHOES and SHOE_CROPS); scenes without one have no row.

    frames, persons, sequences: tables FRAMES, PERSONS, SEQUENCES of the session.
    method: `yolov8` (choices of `find_by_network`) or `feet` (choices of `find_feet`, no weights).
    frames_per_scene: the crops of a scene that are looked at, spread evenly; larger finds clearer shoes.
    shoes_per_scene: kept, each of another crop. More average out how a foot is held; published: 1.
    margin: a crop is widened by this share of its height on every side.
    min_owned: share of a shoe's box that the runner's own mask must cover; larger refuses other people's shoes.
    batch: crops in memory at once. quality: of the encoded shoe, 1..100.
    weights: the path of the network's, else empty: our own, trained with `training`, or a pickle pinned by `sha256`.
    Raises InputError for another method, and for weights that cannot be used.
    """
    check_choice("shoes.method", method, METHODS)
    if method == "yolov8":
        network = yolo.load(ARCHITECTURE, str(weights), sha256=sha256, training=training)
        find: Find = partial(find_by_network, network, **yolov8, device=device)
    else:
        find = partial(find_feet, **feet)
    wanted = _spread(sequences, frames_per_scene).join(persons.drop("score"), on=["frame", "person"])
    clearest: dict[int, list[tuple[dict, np.ndarray]]] = {}
    cuts = runner_cuts(files, frames, wanted, margin=margin)
    while chunk := list(itertools.islice(cuts, batch)):
        for (row, cut, corner), (found, score) in zip(chunk, find(chunk), strict=True):
            boxes = np.clip(found, 0, np.tile(cut.shape[1::-1], 2))
            seen = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
            own = [i for i in np.flatnonzero(seen) if _owned(boxes[i] + np.tile(corner, 2), row) >= min_owned]
            if own:
                box = boxes[own[0]]
                x1, y1, x2, y2 = outward(box)
                placed = dict(zip(("x1", "y1", "x2", "y2"), (box + np.tile(corner, 2)).tolist(), strict=True))
                keys = {name: row[name] for name in ("scene", "frame", "person")}
                shoe = {**keys, **placed, "score": float(score[own[0]])}
                known = [*clearest.get(row["scene"], []), (shoe, cut[y1:y2, x1:x2].copy())]
                clearest[row["scene"]] = sorted(known, key=lambda each: -each[0]["score"])[:shoes_per_scene]
    ranked = [(rank, *each) for _, shoes in sorted(clearest.items()) for rank, each in enumerate(shoes)]
    crops = [
        {
            "scene": shoe["scene"],
            "rank": rank,
            "image": encode_crop(image, np.ones(image.shape[:2], bool), max_height=image.shape[0], quality=quality),
        }
        for rank, shoe, image in ranked
    ]
    return tables.SHOES.frame([{**shoe, "rank": rank} for rank, shoe, _ in ranked]), tables.SHOE_CROPS.frame(crops)


def find_by_network(
    network: YOLO, cuts: list[Cut], *, size: int, min_score: float, match_iou: float, device: str
) -> list[tuple[np.ndarray, np.ndarray]]:
    """What `network` takes for shoes. size, min_score, match_iou: see `yolo.detect`."""
    squares = [square(cut, size)[0] for _, cut, _ in cuts]
    found = yolo.detect(network, squares, size=size, min_score=min_score, match_iou=match_iou, device=device)
    return [
        (detections.xyxy * max(cut.shape[:2]) / size, detections.score)
        for (_, cut, _), detections in zip(cuts, found, strict=True)
    ]


def find_feet(cuts: list[Cut], *, share: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """The lowest `share` of the runner's mask, where one piece of it is widest: a foot flat on the ground.

    A larger `share` shows more of the ankle. The score is the share of the box that the mask fills. The sibling
    of the detector: it needs no weights, and takes whatever a runner has at the lower end for a shoe.
    """
    found = []
    for row, _, corner in cuts:
        box = np.array([row[edge] for edge in ("x1", "y1", "x2", "y2")])
        mask = decode_mask(row["mask"], box)
        upper = len(mask) - max(1, round(share * len(mask)))
        _, _, stats, _ = cv2.connectedComponentsWithStats(mask[upper:].astype(np.uint8))
        pieces = sorted(stats[1:].tolist(), key=lambda piece: -piece[2])[:1]
        left, top = np.array(outward(box)[:2]) - corner
        boxes = [(left + x, top + upper + y, left + x + w, top + upper + y + h) for x, y, w, h, _ in pieces]
        score = [area / (w * h) for _, _, w, h, area in pieces]
        found.append((np.array(boxes, float).reshape(-1, 4), np.array(score)))
    return found


def runner_cuts(
    files: list[Path], frames: pl.DataFrame, wanted: pl.DataFrame, *, margin: float
) -> Iterator[tuple[dict, np.ndarray, np.ndarray]]:
    """Decode again and cut out: each row of `wanted` (frame, x1..y2 and any others), its picture, its corner (x, y).

    The picture is the box widened by `margin` x its height on every side, at full resolution, background kept.
    """
    rows = frames.join(wanted.select("frame").unique(), on="frame", how="semi").sort("frame")
    by_frame = wanted.sort("frame", maintain_order=True).partition_by("frame", as_dict=True)
    for frame, image in read_frames(files, rows):
        for row in by_frame[(frame,)].iter_rows(named=True):
            room = margin * (row["y2"] - row["y1"])
            x1, y1, x2, y2 = outward(np.array([row["x1"] - room, row["y1"] - room, row["x2"] + room, row["y2"] + room]))
            x1, y1 = max(0, x1), max(0, y1)
            yield row, image[y1:y2, x1:x2], np.array([x1, y1], float)


def square(image: np.ndarray, size: int) -> tuple[np.ndarray, float]:
    """A picture scaled to fit the upper left of a grey square of `size` pixels, and the scale."""
    scale = size / max(image.shape[:2])
    shape = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    canvas = np.full((size, size, 3), 114, np.uint8)
    canvas[: shape[1], : shape[0]] = cv2.resize(
        image, shape, interpolation=cv2.INTER_LINEAR if scale > 1 else cv2.INTER_AREA
    )
    return canvas, scale


def training_pictures(
    videos: list[tuple[list[Path], pl.DataFrame, pl.DataFrame, pl.DataFrame]],
    *,
    crops_per_video: int,
    margin: float,
    size: int,
    seed: int,
) -> list[yolo.Example]:
    """Crops of runners with the true boxes of all shoes in them, squares of `size` pixels held in memory.

    videos: per video its files, its frames (FRAMES) and its truth (TRUTH_PERSONS, TRUTH_SHOES).
    """
    generator = np.random.default_rng(seed)
    examples: list[yolo.Example] = []
    for files, frames, persons, shoes in videos:
        whole = persons.filter(pl.col("runner") & (pl.col("visible") > 0.3)).sort("frame", "passage")
        chosen = whole[np.sort(generator.choice(whole.height, min(crops_per_video, whole.height), replace=False))]
        shoes_of = {key: rows.select("x1", "y1", "x2", "y2").to_numpy() for key, rows in shoes.group_by("frame")}
        for row, cut, corner in runner_cuts(files, frames, chosen, margin=margin):
            canvas, scale = square(cut, size)
            boxes = (shoes_of.get((row["frame"],), np.zeros((0, 4))) - np.tile(corner, 2)) * scale
            centres = (boxes[:, :2] + boxes[:, 2:]) / 2
            inside = ((centres > 0) & (centres < np.array(cut.shape[1::-1]) * scale)).all(axis=1)
            examples.append((canvas, _clip(boxes[inside], size), np.zeros((size, size), np.uint8)))
    return examples


def training_squares(
    pictures: list[yolo.Example], *, min_scale: float, max_scale: float
) -> Callable[[np.random.Generator], Iterator[yolo.Example]]:
    """Augmented pictures without end: shifted, scaled between the two factors, flipped, in other light."""

    def examples(generator: np.random.Generator) -> Iterator[yolo.Example]:
        while True:
            image, boxes, labels = pictures[generator.integers(len(pictures))]
            size = len(image)
            scale = generator.uniform(min_scale, max_scale)
            flip = -1.0 if generator.random() < 0.5 else 1.0
            matrix = np.array([[flip * scale, 0.0, 0.0], [0.0, scale, 0.0]])
            matrix[:, 2] = size / 2 - matrix[:, :2] @ generator.uniform(0.35, 0.65, 2) * size
            moved = cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderValue=(114, 114, 114))
            corners = boxes.reshape(-1, 2, 2) * matrix[[0, 1], [0, 1]] + matrix[:, 2]
            seen = _clip(np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1), size)
            whole = (seen[:, 2:] - seen[:, :2] >= 3).all(axis=1)
            yield vary_light(moved, generator), seen[whole], labels

    return examples


def _spread(sequences: pl.DataFrame, frames_per_scene: int) -> pl.DataFrame:
    """At most `frames_per_scene` rows of each scene, spread evenly."""
    count = pl.len().over("scene")
    share = (pl.col("position").cast(pl.Int64) * frames_per_scene) // count
    return sequences.sort("scene", "position").filter(share != share.shift(1, fill_value=-1).over("scene"))


def _owned(box_xyxy: np.ndarray, row: dict) -> float:
    """Share of a box that the mask of the person in `row` covers."""
    person = np.array([row["x1"], row["y1"], row["x2"], row["y2"]])
    left, upper, _, _ = outward(person)
    x1, y1, x2, y2 = outward(box_xyxy - np.array([left, upper, left, upper]))
    mask = decode_mask(row["mask"], person)
    return float(mask[max(0, y1) : max(0, y2), max(0, x1) : max(0, x2)].sum() / ((x2 - x1) * (y2 - y1)))


def _clip(boxes: np.ndarray, size: int) -> np.ndarray:
    return np.clip(boxes, 0, size).astype(np.float32).reshape(-1, 4)
