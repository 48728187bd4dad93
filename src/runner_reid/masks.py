"""Masks as COCO run-length codes, always relative to the box they belong to."""

import numpy as np
from pycocotools import mask as coco


def outward(box_xyxy: np.ndarray) -> tuple[int, int, int, int]:
    """The box rounded outwards to whole pixels: left, upper, right, lower (right and lower excluded)."""
    x1, y1 = np.floor(box_xyxy[:2]).astype(int)
    x2, y2 = np.ceil(box_xyxy[2:]).astype(int)
    return int(x1), int(y1), int(max(x2, x1 + 1)), int(max(y2, y1 + 1))


def encode_mask(mask: np.ndarray) -> bytes:
    """(H, W) bool or 0/1 -> COCO run-length code."""
    return coco.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"]


def mask_area(code: bytes, box_xyxy: np.ndarray) -> int:
    """The pixels of the mask inside `box_xyxy` rounded outwards."""
    x1, y1, x2, y2 = outward(np.asarray(box_xyxy))
    return int(coco.area({"counts": code, "size": [y2 - y1, x2 - x1]}))


def decode_mask(code: bytes, box_xyxy: np.ndarray) -> np.ndarray:
    """The mask inside `box_xyxy` rounded outwards: (H, W) bool."""
    x1, y1, x2, y2 = outward(np.asarray(box_xyxy))
    return coco.decode({"counts": code, "size": [y2 - y1, x2 - x1]}).astype(bool)
