"""One resumable loop for everything we train ourselves."""

import hashlib
import json
import logging
import os
import pickle
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import torch

from runner_reid import files, networks

LOG = logging.getLogger(__name__)

_DAMAGE = (
    *(OSError, EOFError, RuntimeError, ValueError, AttributeError, LookupError, TypeError),
    pickle.UnpicklingError,
)
"""What reading a damaged checkpoint can raise."""


def run_epochs(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler | None,
    *,
    train_epoch: Callable[[int], dict[str, float]],
    epochs: int,
    seed: int,
    checkpoint: Path,
    fingerprint: str,
) -> Iterator[dict[str, float]]:
    """Train, and yield a row of history per epoch: epoch (from 0), what `train_epoch` returns, seconds.

    train_epoch: trains `model` for the epoch of that number, steps `optimizer` and `scheduler` itself, and
    returns losses and scores. A training that was stopped goes on from `checkpoint`, written after each
    epoch, and first yields the rows it had: the final weights are those of an unbroken run, because each
    epoch starts from random states of its own, made of (seed, epoch). So `train_epoch` must keep nothing
    from one epoch to the next outside the three objects. A checkpoint with another `fingerprint` (see
    `digest`), or a damaged one, is ignored with a line in the log. The caller removes `checkpoint` once the
    final weights are safe.
    """
    history = _resume(checkpoint, fingerprint, epochs, model, optimizer, scheduler)
    yield from history
    for epoch in range(len(history), epochs):
        started = time.monotonic()
        networks.seed_everything(epoch_seed(seed, epoch))
        row = {"epoch": epoch, **train_epoch(epoch), "seconds": round(time.monotonic() - started, 3)}
        history.append(row)
        with files.atomic_path(checkpoint) as temporary, temporary.open("wb") as file:
            torch.save(
                {
                    "fingerprint": fingerprint,
                    "history": json.dumps(history),
                    "model": model.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "scheduler": scheduler.state_dict() if scheduler else None,
                },
                file,  # not its path: then a full disk is a RuntimeError
            )
        left = sum(past["seconds"] for past in history) / len(history) * (epochs - epoch - 1)
        numbers = "  ".join(f"{name} {row[name]:.4g}" for name in row if name not in ("epoch", "seconds"))
        LOG.info("epoch %d/%d  %s  %.1f s, %.0f s left", epoch + 1, epochs, numbers, row["seconds"], left)
        yield row


def epoch_seed(seed: int, epoch: int) -> int:
    """A seed of an epoch's own.

    >>> epoch_seed(0, 1) == epoch_seed(1, 0)
    False
    """
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])


def digest(fingerprint: str, choices: dict | list, *arrays: np.ndarray) -> str:
    """What a training depends on, as a fingerprint of its checkpoints.

    fingerprint: of our code, from the caller. choices: JSON values. arrays: all the data it learns from.
    """
    sum_ = hashlib.sha256(json.dumps([fingerprint, choices], sort_keys=True).encode())
    for array in arrays:
        sum_.update(f"{array.dtype} {array.shape}".encode())
        sum_.update(np.ascontiguousarray(array).data)
    return sum_.hexdigest()


def write_history(rows: list[dict[str, float]], path: str | os.PathLike) -> None:
    """Write the rows of history as CSV, atomically."""
    with files.atomic_path(path) as temporary:
        pl.DataFrame(rows, infer_schema_length=None).write_csv(temporary)


def _resume(
    checkpoint: Path,
    fingerprint: str,
    epochs: int,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler | None,
) -> list[dict[str, float]]:
    """The history of `checkpoint`, after putting its states back; [] if there is none that fits."""
    if not checkpoint.is_file():
        return []
    try:
        saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
        history = json.loads(saved["history"])
        fits = saved["fingerprint"] == fingerprint and len(history) <= epochs
    except _DAMAGE as error:
        LOG.warning("%s: damaged (%s), training starts anew", checkpoint, type(error).__name__)
        return []
    if not fits:
        LOG.warning("%s: of another training (other code, params or data), training starts anew", checkpoint)
        return []
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    if scheduler:
        scheduler.load_state_dict(saved["scheduler"])
    LOG.info("%s: training goes on after epoch %d/%d", checkpoint, len(history), epochs)
    return history
