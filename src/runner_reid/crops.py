"""Crops: encoded cut-outs, and the cut-outs of a scene as one thing."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

import cv2
import numpy as np
import polars as pl

from runner_reid import tables
from runner_reid.errors import InputError


@dataclass(frozen=True)
class SceneCrops:
    """The crops of one scene in order of time.

    images: T arrays (H, W, 3) uint8 RGB, background black; sizes may differ.
    masks: T arrays (H, W) bool, True on the person.
    camera: which camera saw it; a video has one.
    """

    scene: int
    images: list[np.ndarray]
    masks: list[np.ndarray]
    camera: int = 0


def encode_crop(image_rgb: np.ndarray, mask: np.ndarray, *, max_height: int, quality: int) -> bytes:
    """A cut-out as WebP with the mask as (lossless) alpha channel.

    image_rgb: (H, W, 3) uint8. mask: (H, W) bool. Crops higher than `max_height` pixels are shrunk to it.
    A larger `quality` (1..100) keeps more colour detail and costs bytes.
    """
    height, width = mask.shape
    alpha: np.ndarray = mask.astype(np.uint8) * 255
    if height > max_height:
        size = (max(1, round(width * max_height / height)), max_height)
        image_rgb = cv2.resize(image_rgb, size, interpolation=cv2.INTER_AREA)
        alpha = cv2.resize(alpha, size, interpolation=cv2.INTER_NEAREST_EXACT)
    bgra = np.dstack([image_rgb[..., ::-1] * (alpha[..., None] > 0), alpha])
    return cv2.imencode(".webp", bgra, [cv2.IMWRITE_WEBP_QUALITY, quality])[1].tobytes()


def decode_crop(image: bytes) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) uint8 RGB with black background, and (H, W) bool mask (all True without alpha channel)."""
    decoded = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_UNCHANGED) if image else None
    if decoded is None:
        raise InputError(f"a crop of {len(image)} bytes is no image; delete the file of crops and run again")
    if decoded.ndim == 2:
        decoded = cv2.cvtColor(decoded, cv2.COLOR_GRAY2BGR)
    mask = decoded[..., 3] > 0 if decoded.shape[2] == 4 else np.ones(decoded.shape[:2], bool)
    return np.ascontiguousarray(decoded[..., 2::-1]) * mask[..., None], mask


def read_person_crops(path: str | Path, wanted: pl.DataFrame) -> Iterator[tuple[dict, np.ndarray, np.ndarray]]:
    """Rows of `wanted` (columns frame, person, and any others) with their decoded image and mask.

    Streams the file: the order is the file's, one row group in memory at a time.
    """
    for batch in tables.PERSON_CROPS.batches(path):
        for row in batch.join(wanted, on=["frame", "person"]).sort("frame", "person").iter_rows(named=True):
            yield row, *decode_crop(row.pop("image"))


def read_person_scenes(path: str | Path, sequences: pl.DataFrame) -> Iterator[SceneCrops]:
    """The person crops of each scene of `sequences` (table SEQUENCES), a scene as soon as it is complete.

    Streams the file of crops; only the scenes that are under way are in memory.
    """
    missing = dict(sequences.group_by("scene").len().iter_rows())
    waiting: dict[int, list] = {}
    for row, image, mask in read_person_crops(path, sequences):
        scene = row["scene"]
        waiting.setdefault(scene, []).append((row["position"], image, mask))
        if len(waiting[scene]) == missing[scene]:
            del missing[scene]
            ordered = sorted(waiting.pop(scene), key=lambda part: part[0])
            yield SceneCrops(scene, [part[1] for part in ordered], [part[2] for part in ordered])
    if missing:
        raise InputError(f"{path}: lacks crops of scenes {sorted(missing)[:5]}; delete it and run again")


def read_shoe_scenes(path: str | Path) -> Iterator[SceneCrops]:
    """The shoe crops of each scene that has any, the clearest first."""
    rows = (row for batch in tables.SHOE_CROPS.batches(path) for row in batch.iter_rows(named=True))
    for scene, shoes in itertools.groupby(rows, key=itemgetter("scene")):
        images, masks = zip(*(decode_crop(row["image"]) for row in shoes), strict=True)
        yield SceneCrops(scene, list(images), list(masks))
