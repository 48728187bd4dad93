"""Training the runner classifier.

Paper: Suzuki et al. 2023: EfficientNet pretrained on ImageNet, binary cross-entropy, Adam 3e-5, a fifth of
the training images as validation; 4,000 runners and 10,000 others, F1 .998.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import torch

from runner_reid import crops, networks, runners, tables, training
from runner_reid.errors import InputError

_BOX = ("x1", "y1", "x2", "y2")
_NO_LABELS = tables.PERSONS.empty().select("frame", "person", runner=pl.lit(False), actor=pl.lit(""))


def label_crops(
    persons: pl.DataFrame,
    truth_persons: pl.DataFrame,
    *,
    min_iou: float,
    max_stray_iou: float,
    min_visible: float,
    also: list[str],
) -> pl.DataFrame:
    """Which detections show a runner: columns frame, person, runner (bool), actor ("" for nobody).

    persons: table PERSONS. truth_persons: table TRUTH_PERSONS. In each frame the pair of detection and true
    box with the best IoU is matched first, down to `min_iou`. An unmatched detection below `max_stray_iou`
    with everybody is no runner; one in between is ambiguous and has no row, nor has one matched to somebody of
    whom less than `min_visible` is seen: such a crop shows who hides him. A larger `min_iou` or `min_visible` gives
    fewer and cleaner labels; a larger `max_stray_iou` more examples of what is no runner, some half one.
    also: actors (without their number) who count as runners here though they are none of the practice: one
    crop of a sprinter looks like a runner's, only the speed of the scene tells them apart (`build_scenes`).
    """
    looks = pl.col("runner") | pl.col("actor").str.strip_chars_end("0123456789").is_in(also)
    truth_persons = truth_persons.with_columns(runner=looks)
    truths = truth_persons.partition_by("frame", as_dict=True)
    rows: list[tuple] = []
    for (frame,), detected in persons.partition_by("frame", as_dict=True, maintain_order=True).items():
        truth = truths.get((frame,), truth_persons.clear())
        overlap = _iou(detected.select(_BOX).to_numpy(), truth.select(_BOX).to_numpy())
        free = overlap.copy()
        found: dict[int, int] = {}
        while free.size and free.max() >= max(min_iou, 1e-9):
            row, column = divmod(int(free.argmax()), free.shape[1])
            found[row] = column
            free[row], free[:, column] = -1, -1
        for i, person in enumerate(detected["person"]):
            if i in found:
                if truth["visible"][found[i]] >= min_visible:
                    rows.append((frame, person, truth["runner"][found[i]], truth["actor"][found[i]]))
            elif overlap[i].max(initial=0) < max_stray_iou:
                rows.append((frame, person, False, ""))
    return pl.DataFrame(rows, schema=_NO_LABELS.schema, orient="row")


@dataclass(frozen=True)
class LabelledCrops:
    """What the classifier learns from. images: (N, H, W, 3) uint8. runner: (N,) bool. actor: (N,) str."""

    images: np.ndarray
    runner: np.ndarray
    actor: np.ndarray


def read_labelled_crops(
    sessions: Iterable[tuple[str | Path, pl.DataFrame]],
    *,
    size: tuple[int, int],
    max_crops: int,
    max_class_ratio: float,
    seed: int,
) -> LabelledCrops:
    """A random choice of labelled crops, letterboxed to `size` (height, width).

    sessions: per video its file of crops (table PERSON_CROPS) and its labels (`label_crops`). The larger
    class is cut to `max_class_ratio` times the smaller, then both in proportion to `max_crops` in all. A
    larger `max_crops` is slower and takes memory (24 KB a crop of 128x64), a larger `max_class_ratio` wastes
    less of the larger class.
    """
    sessions = list(sessions)
    rows = pl.concat(
        [_NO_LABELS.with_columns(session=pl.lit(0))]
        + [labels.with_columns(session=pl.lit(i)) for i, (_, labels) in enumerate(sessions)]
    )
    classes = [rows.filter("runner"), rows.filter(~pl.col("runner"))]
    counts = [part.height for part in classes]
    if not min(counts):
        raise InputError(f"labelled crops: expected runners and others, got {counts[0]} and {counts[1]}; add a video")
    counts = [min(count, math.floor(min(counts) * max_class_ratio)) for count in counts]
    share = min(1, max_crops / sum(counts))
    chosen = pl.concat(
        part.sample(max(1, math.floor(count * share)), seed=seed) for part, count in zip(classes, counts, strict=True)
    )
    images, labelled = [], []
    for i, (path, _) in enumerate(sessions):
        for row, image, _ in crops.read_person_crops(path, chosen.filter(session=i).drop("session")):
            images.append(runners.letterbox(image, size=size))
            labelled.append(row)
    return LabelledCrops(
        np.stack(images),
        np.array([row["runner"] for row in labelled]),
        np.array([row["actor"] for row in labelled]),
    )


def train(
    labelled: LabelledCrops,
    *,
    backbone: str,
    initial: str,
    epochs: int,
    batch: int,
    learning_rate: float,
    balanced: bool,
    validation_share: float,
    augment: dict[str, float],
    seed: int,
    device: torch.device,
    checkpoint: Path,
    fingerprint: str,
) -> tuple[runners.Classifier, Iterator[dict[str, float]]]:
    """The classifier, and its history: drawing a row (see `training.run_epochs`) trains it one epoch more.

    Binary cross-entropy with Adam. Validation holds `validation_share` of the runners and of the others by
    actor, so that nobody is on both sides; detections of nobody are trained on. Rows: train_loss,
    validation_loss, f1, precision, recall (at score 0.5), and how many crops of each class there are.
    balanced: weigh runners by others / runners. augment: the keywords of `augmented`.
    Raises InputError if either side would lack a class.
    """
    held = _validation(labelled, validation_share, seed)
    trained, runner = np.flatnonzero(~held), labelled.runner
    truth = torch.from_numpy(runner.astype(np.float32))
    counts = {"train_runners": int(runner[trained].sum()), "train_others": int((~runner[trained]).sum())}
    networks.seed_everything(seed)
    model = runners.build(backbone, initial=initial).to(device)
    optimizer = torch.optim.Adam(model.parameters(), learning_rate)
    weight = counts["train_others"] / counts["train_runners"] if balanced else 1.0
    loss_of = torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(weight, device=device))

    def train_epoch(epoch: int) -> dict[str, float]:
        rng = np.random.default_rng(training.epoch_seed(seed, epoch))
        model.train()
        total = 0.0
        for part in np.array_split(rng.permutation(trained), math.ceil(len(trained) / batch)):
            loss = loss_of(model(augmented(labelled.images[part], rng, **augment)), truth[part].to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(part)
        score = runners.probabilities(model, labelled.images[held], batch=batch)
        validation_loss = torch.nn.functional.binary_cross_entropy(torch.from_numpy(score), truth[held]).item()
        losses = {"train_loss": total / len(trained), "validation_loss": validation_loss}
        return {**losses, **counts, **classifier_scores(score, runner[held])}

    choices = [backbone, initial, epochs, batch, learning_rate, balanced, validation_share, augment, seed]
    rows = training.run_epochs(
        model,
        optimizer,
        None,
        train_epoch=train_epoch,
        epochs=epochs,
        seed=seed,
        checkpoint=checkpoint,
        fingerprint=training.digest(fingerprint, choices, labelled.images, runner, labelled.actor),
    )
    return model, rows


def augmented(
    images: np.ndarray,
    rng: np.random.Generator,
    *,
    flip: float,
    brightness: float,
    contrast: float,
    colour: float,
    shift: float,
    erase: float,
) -> np.ndarray:
    """`images` (N, H, W, 3) uint8, each changed at random; the black background stays black.

    flip, erase: probability of a mirror image, and of a black rectangle of up to half the height and width.
    brightness, contrast, colour: largest relative change of the light, of the differences within a person,
    and of each channel. shift: largest translation, as a share of height and width. 0 leaves all as it is.
    """
    count, height, width, _ = images.shape
    images = images.copy()
    for image in images:
        if rng.random() < flip:
            image[:] = image[:, ::-1].copy()
        down, right = (round(rng.uniform(-shift, shift) * length) for length in (height, width))
        image[:] = cv2.warpAffine(image, np.array([[1, 0, right], [0, 1, down]], np.float32), (width, height))
        if rng.random() < erase:
            high, wide = (int(rng.integers(1, length // 2 + 1)) for length in (height, width))
            top, left = int(rng.integers(height - high + 1)), int(rng.integers(width - wide + 1))
            image[top : top + high, left : left + wide] = 0
    person = images.any(axis=3, keepdims=True)
    light, spread = (rng.uniform(1 - most, 1 + most, (count, 1, 1, 1)) for most in (brightness, contrast))
    tint = rng.uniform(1 - colour, 1 + colour, (count, 1, 1, 3))
    mean = images.sum(axis=(1, 2, 3), keepdims=True) / np.maximum(3 * person.sum(axis=(1, 2, 3), keepdims=True), 1)
    changed = images * (spread * light * tint).astype(np.float32)
    changed += (mean * (1 - spread) * light * tint).astype(np.float32)
    return (np.clip(changed, 0, 255) * person).astype(np.uint8)


def classifier_scores(score: np.ndarray, runner: np.ndarray) -> dict[str, float]:
    """f1, precision and recall of "runner" at score 0.5 (0 where undefined), and the size of both classes.

    score: (N,) in 0..1. runner: (N,) bool.

    >>> classifier_scores(np.array([0.9, 0.8, 0.1]), np.array([True, False, False]))
    {'f1': 0.6666666666666666, 'precision': 0.5, 'recall': 1.0, 'runners': 1, 'others': 2}
    """
    said = score >= 0.5
    right, runners = int((said & runner).sum()), int(runner.sum())
    precision, recall = right / max(int(said.sum()), 1), right / max(runners, 1)
    f1 = 2 * right / max(int(said.sum()) + runners, 1)
    return {
        "f1": f1,
        "precision": precision,
        "recall": recall,
        "runners": runners,
        "others": len(runner) - runners,
    }


def _iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """IoU of boxes (N, 4) and (M, 4) as (N, M)."""
    corners = (
        np.maximum(first[:, None, :2], second[None, :, :2]),
        np.minimum(first[:, None, 2:], second[None, :, 2:]),
    )
    both = (corners[1] - corners[0]).clip(0).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (first, second)]
    return both / np.maximum(areas[0][:, None] + areas[1][None] - both, 1e-9)


def _validation(labelled: LabelledCrops, share: float, seed: int) -> np.ndarray:
    """(N,) bool: the crops of a random `share` of the named runners, and of the other named actors."""
    rng = np.random.default_rng(seed)
    held = np.zeros(len(labelled.runner), bool)
    for runner in (True, False):
        kind = "runners" if runner else "people who are no runners"
        actors = np.unique(labelled.actor[(labelled.runner == runner) & (labelled.actor != "")])
        if len(actors) < 2:
            raise InputError(f"labelled crops: expected two {kind} or more, got {len(actors)}; add a video")
        count = min(len(actors) - 1, max(1, round(share * len(actors))))
        held |= np.isin(labelled.actor, rng.choice(actors, count, replace=False))
    if len(np.unique(labelled.runner[~held])) < 2:
        raise InputError(
            "labelled crops: the same people are runners and others, so none could be held back; add a video"
        )
    return held
