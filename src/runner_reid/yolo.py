"""YOLOv8 through ultralytics: build, load, predict and train, without its settings, downloads or trackers of runs.

Our own weights are plain tensors (`weights.py`); a foreign `.pt` is a pickle and loads only if its sha256 is pinned.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("YOLO_CONFIG_DIR", str(Path(tempfile.gettempdir()) / f"runner_reid_yolo_{os.getuid()}"))

import cv2
import numpy as np
import torch

from runner_reid.masks import outward
from runner_reid.networks import mixed_precision, prepare_torchvision, seed_everything
from runner_reid.training import run_epochs
from runner_reid.weights import card_path, check_pinned, load_weights

prepare_torchvision()

from ultralytics import YOLO  # noqa: E402 - needs the operators that prepare_torchvision provides
from ultralytics.engine.results import Results  # noqa: E402
from ultralytics.models.yolo.segment import SegmentationPredictor  # noqa: E402
from ultralytics.nn.tasks import DetectionModel, SegmentationModel  # noqa: E402
from ultralytics.utils import ops  # noqa: E402

LOSS_GAINS = SimpleNamespace(box=7.5, cls=0.5, dfl=1.5, overlap_mask=True)
"""ultralytics' defaults for the weights of the terms of the YOLOv8 loss."""

RIVAL_SCORE = 0.4
"""Who is found less surely takes no pixels from others."""
SAME_PERSON = 0.8
"""Of two masks that share more of the smaller one nobody can say whose it is."""
FRAGMENT = 0.05
"""Pieces of a mask smaller than this share of its largest piece are somebody else's."""

Example = tuple[np.ndarray, np.ndarray, np.ndarray]
"""image (H, W, 3) uint8 RGB; boxes (M, 4) xyxy px; label map (H, W) uint8: 0 background, i + 1 the mask of box i."""


@dataclass(frozen=True)
class Detections:
    """What one picture holds.

    xyxy: (M, 4) float32 px. score: (M,) float32. masks: M arrays (h, w) bool, each the mask inside its box
    rounded outwards; empty for a network without masks.
    """

    xyxy: np.ndarray
    score: np.ndarray
    masks: list[np.ndarray]


def build(architecture: str) -> torch.nn.Module:
    """An untrained YOLOv8 for one class, e.g. `yolov8n-seg` (boxes and masks) or `yolov8n` (boxes)."""
    kind = SegmentationModel if architecture.endswith("-seg") else DetectionModel
    model: Any = kind(cfg=f"{architecture}.yaml", nc=1, verbose=False)
    model.args = LOSS_GAINS
    return model


def load(architecture: str, path: str, *, sha256: str, training: dict) -> YOLO:
    """A network ready to detect: our own weights (they have a card), or a checkpoint of ultralytics.

    sha256: what is pinned for `path`, "" if nothing is. training: params that our own weights must agree with.
    Raises InputError for weights that are damaged, of other params, or a pickle that nobody pinned.
    """
    if card_path(path).is_file():
        return predictor(architecture, load_weights(path, params=training))
    check_pinned(path, sha256=sha256 or None)
    return YOLO(path, verbose=False)


def predictor(architecture: str, state: dict[str, torch.Tensor]) -> YOLO:
    """Our own weights, ready to detect."""
    model: Any = build(architecture)
    model.load_state_dict(state)
    network: Any = YOLO(f"{architecture}.yaml", verbose=False)
    model.names = {0: "person"}
    network.model = model.eval().to(memory_format=torch.channels_last)
    return network


def detect(
    network: YOLO, images: list[np.ndarray], *, size: int, min_score: float, match_iou: float, device: str
) -> list[Detections]:
    """Detections of class 0 in RGB images of one session. Where masks overlap: see `one_each`.

    size: pixels of the longer side at the network's input; larger finds smaller people and costs time.
    min_score: weaker detections are dropped. match_iou: of two boxes that overlap more, the weaker is dropped.
    """
    chosen: dict[str, Any] = {"predictor": _OneEach} if network.task == "segment" else {}
    results: Any = network.predict(
        [image[..., ::-1] for image in images],
        imgsz=size,
        conf=min_score,
        iou=match_iou,
        classes=[0],
        device=device,
        verbose=False,
        save=False,
        **chosen,
    )
    return [_detections(result) for result in results]


def train(
    architecture: str,
    initial: dict[str, torch.Tensor],
    examples: Callable[[np.random.Generator], Iterator[Example]],
    *,
    epochs: int,
    batch: int,
    learning_rate: float,
    weight_decay: float,
    batches_per_epoch: int,
    precision: str,
    seed: int,
    device: str,
    checkpoint: Path,
    fingerprint: str,
) -> tuple[torch.nn.Module, Iterator[dict]]:
    """A YOLOv8 and the epochs of its training, as history rows; the network is trained once they are used up.

    initial: tensors to start from; those whose name and shape fit are taken over, the others start at random.
    examples: given a random generator, yields augmented examples of one size without end.
    Loss: YOLOv8's (box, class, distribution focal and, for `-seg`, mask). AdamW under a one-cycle schedule.
    precision: of `networks.mixed_precision`; the loss stays in float32.
    A killed training resumes from `checkpoint` to the same result. Raises InputError for another precision.
    """
    mixed = mixed_precision(precision, device)
    seed_everything(seed)
    model: Any = build(architecture)
    model.to(device, memory_format=torch.channels_last)
    own = model.state_dict()
    fitting = {name: value for name, value in initial.items() if name in own and own[name].shape == value.shape}
    model.load_state_dict({**own, **fitting})
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=learning_rate, total_steps=epochs * batches_per_epoch, pct_start=0.15
    )

    def train_epoch(epoch: int) -> dict:
        model.train()
        source = examples(np.random.default_rng([seed, epoch]))
        totals: dict[str, float] = {}
        for _ in range(batches_per_epoch):
            collated = collate([next(source) for _ in range(batch)], device)
            with mixed:
                predicted = model(collated["img"])
            losses, terms = model.loss(collated, _in_float32(predicted))
            optimizer.zero_grad()
            losses.sum().backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
            optimizer.step()
            schedule.step()
            for name, value in {"loss": losses.detach().sum() / batch, **terms}.items():
                totals[name] = totals.get(name, 0.0) + float(value) / batches_per_epoch
        return totals

    rows = run_epochs(
        model,
        optimizer,
        schedule,
        train_epoch=train_epoch,
        epochs=epochs,
        seed=seed,
        checkpoint=checkpoint,
        fingerprint=fingerprint,
    )
    return model, rows


def collate(examples: list[Example], device: str) -> dict[str, torch.Tensor]:
    """Examples of one size as the batch that YOLOv8's loss reads (boxes centre and size, relative)."""
    height, width = examples[0][0].shape[:2]
    images = np.stack([image for image, _, _ in examples])
    small = (width // 4, height // 4)
    masks = np.stack([cv2.resize(m, small, interpolation=cv2.INTER_NEAREST_EXACT) for _, _, m in examples])
    boxes = np.concatenate([box.reshape(-1, 4) for _, box, _ in examples]).astype(np.float32)
    centres = np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)
    index = np.concatenate([np.full(len(box), i, np.float32) for i, (_, box, _) in enumerate(examples)])
    return {
        "img": torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 255,
        "batch_idx": torch.from_numpy(index).to(device),
        "cls": torch.zeros(len(boxes), 1, device=device),
        "bboxes": torch.from_numpy(centres / np.array([width, height, width, height], np.float32)).to(device),
        "masks": torch.from_numpy(masks).to(device),
    }


def _in_float32(predicted: Any) -> Any:
    """What the network gives (tensors in dicts, lists and tuples), each tensor in float32."""
    if isinstance(predicted, dict):
        return {name: _in_float32(value) for name, value in predicted.items()}
    if isinstance(predicted, list | tuple):
        return type(predicted)(map(_in_float32, predicted))
    return predicted.float()


def one_each(claim: torch.Tensor, score: torch.Tensor) -> torch.Tensor:
    """Masks (M, h, w) bool from what each of M persons claims: where several do, the one who claims most has the pixel.

    claim: (M, h, w), above 0 where the person seems to be. score: (M,); who is below RIVAL_SCORE takes nothing from
    others. Nor do two take from each other of whom one claims SAME_PERSON of all that the other does: they are one
    person found twice, or one who hides the other.

    >>> claim = torch.tensor([[[3.0, 1.0, -1.0]], [[-1.0, 4.0, 4.0]], [[9.0, -1.0, 9.0]]])
    >>> one_each(claim, torch.tensor([0.9, 0.8, 0.2])).int().tolist()
    [[[1, 0, 0]], [[0, 1, 1]], [[1, 0, 1]]]
    """
    whole = claim > 0
    pixels = whole.flatten(1).float()
    area = pixels.sum(1)
    shared = pixels @ pixels.T / torch.minimum(area[:, None], area).clamp(min=1)
    robs = (shared < SAME_PERSON) & (score >= RIVAL_SCORE)
    masks = whole.clone()
    for mask, own, rivals in zip(masks, claim, robs, strict=True):
        if rivals.any():
            mask &= own >= claim[rivals].amax(0)
    return masks


class _OneEach(SegmentationPredictor):
    """YOLOv8's masks, parted by `one_each` where those of several persons overlap.

    Runners side by side are inside each other's boxes; without this they are inside each other's cut-outs too.
    """

    def construct_result(self, *given: Any) -> Results:
        """given: (M, 6 + K) boxes, scores, classes, coefficients; input; picture; its path; prototypes (K, h, w)."""
        pred, img, orig_img, img_path, proto = given
        if not len(pred):
            return super().construct_result(*given)
        claim = (pred[:, 6:] @ proto.float().flatten(1)).view(-1, *proto.shape[1:])
        claim = torch.nn.functional.interpolate(claim[None], img.shape[2:], mode="bilinear")[0]
        inside = ops.crop_mask(torch.ones_like(claim, dtype=torch.uint8), pred[:, :4]) > 0
        masks = one_each(claim.masked_fill(~inside, -torch.inf), pred[:, 4])
        kept = masks.any(-1).any(-1)
        pred, masks = pred[kept], masks[kept]
        pred[:, :4] = ops.scale_boxes(img.shape[2:], pred[:, :4], orig_img.shape)
        network: Any = self.model
        return Results(orig_img, path=img_path, names=network.names, boxes=pred[:, :6], masks=masks.byte())


def _detections(result: Any) -> Detections:
    """ultralytics' Results as arrays, the surest first; boxes that lie wholly outside of the picture are dropped."""
    found = result.cpu().numpy()
    height, width = found.orig_shape
    order = np.lexsort((found.boxes.xyxy[:, 0], -found.boxes.conf))
    xyxy = np.clip(found.boxes.xyxy[order], 0, [width, height, width, height]).astype(np.float32)
    seen = (xyxy[:, 2:] > xyxy[:, :2]).all(axis=1)
    order, xyxy = order[seen], xyxy[seen]
    score = found.boxes.conf[order].astype(np.float32)
    if found.masks is None:
        return Detections(xyxy, score, [])
    masks = found.masks.data[order]
    return Detections(xyxy, score, [_inside(m, box, (height, width)) for m, box in zip(masks, xyxy, strict=True)])


def _inside(mask: np.ndarray, box: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The part of a mask at the network's (letterboxed) resolution inside a box of the picture, at its resolution."""
    x1, y1, x2, y2 = outward(box)
    scale = min(mask.shape[0] / shape[0], mask.shape[1] / shape[1])
    left, upper = (mask.shape[1] - shape[1] * scale) / 2, (mask.shape[0] - shape[0] * scale) / 2
    to_network = np.array([[scale, 0, left + (x1 + 0.5) * scale - 0.5], [0, scale, upper + (y1 + 0.5) * scale - 0.5]])
    soft = cv2.warpAffine(
        mask.astype(np.float32), to_network, (x2 - x1, y2 - y1), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    return _without_fragments(soft > 0.5)


def _without_fragments(mask: np.ndarray) -> np.ndarray:
    """A mask without its small pieces.

    >>> _without_fragments(np.array([[1] * 30 + [0, 1]], bool)).sum().item()
    30
    """
    count, piece, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count <= 2:
        return mask
    area = stats[1:, cv2.CC_STAT_AREA]
    return np.isin(piece, 1 + np.flatnonzero(area >= FRAGMENT * area.max()))
