"""Weights and the cards beside them: what was trained, on what, how well."""

import io
import json
import os
import pickle
import platform
import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import torch

from runner_reid import files
from runner_reid.errors import InputError

CARD_KEYS = ("name", "command", "params", "data", "scores")
"""What a card says besides `sha256` and `created_with`, which `save_weights` adds."""

_VERSIONS = ("runner-reid", "torch", "timm", "numpy")


def card_path(path: str | os.PathLike) -> Path:
    """Where the card of the weights `path` lies: beside them, with the suffix .json."""
    return Path(path).with_suffix(".json")


def save_weights(path: str | os.PathLike, state: dict[str, torch.Tensor], *, card: dict) -> None:
    """Write `state` as float16 to `path` (.pt) and its card beside it, both atomically.

    card: name, command (that trains it again), params, data (list of {path, sha256}), scores. Adds sha256 (of
    the .pt) and created_with (versions). The same state and card give the same bytes on the same versions.
    Numbers too large for float16 keep their tensor in float32; rounding changes a weight by at most 1/2048.
    Raises ValueError if the card lacks a key or has one too many.
    """
    if set(card) != set(CARD_KEYS):
        raise ValueError(f"a card has the keys {sorted(CARD_KEYS)}, got {sorted(card)}")
    buffer = io.BytesIO()  # torch.save to a path would write the (temporary) name into the file
    torch.save({"state": {name: _stored(tensor) for name, tensor in state.items()}}, buffer)
    with files.atomic_path(card_path(path)) as card_file, files.atomic_path(path) as weights_file:
        weights_file.write_bytes(buffer.getvalue())
        full = {**card, "sha256": files.sha256(weights_file), "created_with": _versions()}
        card_file.write_text(json.dumps(full, indent=2, ensure_ascii=False) + "\n")


def load_weights(path: str | os.PathLike, *, params: dict) -> dict[str, torch.Tensor]:
    """The tensors of `path` (floating ones as float32, on the CPU), if they are what `params` asks for.

    Raises InputError if the file or its card is missing or damaged, if the file is not the one the card
    describes, or if the card was written for other params: the message names the key, and what to do.
    """
    card = read_card(path)
    _check_params(path, card["params"], params)
    found = files.sha256(path)
    if found != card["sha256"]:
        raise InputError(
            f"{path}: expected sha256 {card['sha256'][:12]}… as its card says, got {found[:12]}…; "
            "fetch it again, or remove both files to train anew"
        )
    state = _read_state(path)
    if state is None:
        raise InputError(f"{path}: expected weights of this project, got another kind of file; remove it to train anew")
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}


def read_card(path: str | os.PathLike) -> dict:
    """The card of the weights `path`. Raises InputError if either file is missing or the card is damaged."""
    if not Path(path).is_file():
        raise InputError(f"{path}: expected weights, found no file; fetch or train them first")
    beside = card_path(path)
    try:
        card = json.loads(beside.read_text())
        lacking = {*CARD_KEYS, "sha256"} - set(card)
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: expected its card {beside.name} beside it, found none; fetch both, or remove it"
        ) from error
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{beside}: expected a JSON card ({error}); fetch it again, or remove it and the weights"
        ) from error
    if lacking:
        raise InputError(
            f"{beside}: expected the keys {sorted(lacking)} too; fetch it again, or remove it and the weights"
        )
    return card


def promote(path: str | os.PathLike, folder: str | os.PathLike) -> None:
    """Copy weights with card, history and picture to the folder of their corpus below `folder`, the weights last."""
    path = Path(path)
    read_card(path)
    for suffix in (".csv", ".webp", ".json", path.suffix):
        if (found := path.with_suffix(suffix)).is_file():
            with files.atomic_path(Path(folder) / path.parent.name / found.name) as temporary:
                shutil.copyfile(found, temporary)


def check_pinned(path: str | os.PathLike, *, sha256: str | None) -> None:
    """Refuse a pickled foreign checkpoint (loading one runs code) unless it is the file somebody has pinned.

    Raises InputError if `sha256` is None or not that of the file.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: expected pickled weights, found no file; fetch it first")
    found = files.sha256(path)
    if found != sha256:
        expected = f"sha256 {sha256}" if sha256 else "a pinned sha256 (loading a pickle runs code)"
        raise InputError(
            f"{path}: expected {expected}, got {found}; fetch it again, or, if you trust this file, pin that "
            "sha256 for it in the table of sources"
        )


def _read_state(path: str | os.PathLike) -> dict[str, torch.Tensor] | None:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError):
        return None
    state = content.get("state") if isinstance(content, dict) else None
    plain = isinstance(state, dict) and all(isinstance(tensor, torch.Tensor) for tensor in state.values())
    return state if plain else None


def _stored(tensor: torch.Tensor) -> torch.Tensor:
    tensor = tensor.detach().cpu()
    if tensor.is_floating_point():
        half = tensor.half()
        tensor = half if torch.equal(half.isfinite(), tensor.isfinite()) else tensor.float()
    return tensor.clone(memory_format=torch.contiguous_format)


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in _VERSIONS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _check_params(path: str | os.PathLike, trained: dict, given: dict) -> None:
    trained, given = dict(_leaves(trained)), dict(_leaves(json.loads(json.dumps(given))))
    for key in sorted(trained.keys() | given.keys()):
        if key not in trained or key not in given or trained[key] != given[key]:
            was, now = (json.dumps(side[key]) if key in side else "nothing" for side in (trained, given))
            raise InputError(
                f"{path}: was trained with {key} = {was}, got {key} = {now}; set the key back, "
                "or remove the file and its card to train anew"
            )


def _leaves(params: dict, prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in params.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
