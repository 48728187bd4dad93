"""What turns the crops of a scene into one feature. This folder is the registry: a method is a file here.

A method is a module with
    CROPS: "person" or "shoe": which crops it reads; "any" if the entry says it (`crops`).
    LEARNED: whether it needs weights.
    EXAMPLE: choices for `extract` with which the conformance suite runs it.
    extract(scenes, *, <choices>) -> (scene (N,) int, feature (N, D) float32)
        scenes: Iterable[SceneCrops], read once, each of one frame or more. Rows in order of scene number,
        whatever the order given; finite; the same for the same scene whoever comes with it; (0,) and (0, D)
        for no scenes.
and, if LEARNED, `extract` also takes `state` (tensors by name, see `weights.load_weights`) and `device`, and
    EXAMPLE_TRAINING: choices for `train`.
    train(scenes, *, <choices>, seed, device, checkpoint, fingerprint) -> (model, rows, picture)
        rows: Iterator of history (`training.run_epochs`) that trains one epoch a row; after the last one
        `model.state_dict()` is the state for `extract`. The same arguments give the same state.
        picture: Callable that, then, shows what was learned: (H, W, 3) uint8 RGB.

The choices are the method's entry in params.yaml, so a new method is one file and one entry.
"""

import ast
import importlib
import re
from pathlib import Path
from types import ModuleType

import numpy as np

from runner_reid.errors import InputError


def methods() -> list[str]:
    """The names of all methods."""
    return sorted(
        path.stem for path in Path(__file__).parent.glob("*.py") if re.fullmatch("[a-z0-9][a-z0-9_]*", path.stem)
    )


def get(method: str) -> ModuleType:
    """The module of a method. Raises InputError, with the names there are, if there is none of that name."""
    if method not in methods():
        raise InputError(f"extractor: got method {method!r}, expected one of {', '.join(methods())}; correct its entry")
    return importlib.import_module(f"{__name__}.{method}")


def declared(method: str) -> dict:
    """What a method says of itself (CROPS, LEARNED), without importing it: the workflow plans with it.

    >>> declared("shoe_hist")
    {'CROPS': 'shoe', 'LEARNED': False}
    """
    if method not in methods():
        get(method)
    tree = ast.parse((Path(__file__).parent / f"{method}.py").read_text())
    assigned = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    return {name: ast.literal_eval(assigned[name]) for name in ("CROPS", "LEARNED")}


def by_scene(features: dict[int, np.ndarray], *, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Features (D = width,) by scene number as arrays scene (N,) int32 and feature (N, D) float32.

    >>> by_scene({5: np.ones(2), 3: np.zeros(2)}, width=2)[0].tolist()
    [3, 5]
    """
    scene = np.array(sorted(features), np.int32)
    feature = np.array([features[number] for number in scene.tolist()], np.float32)
    return scene, feature.reshape(len(scene), width)


def with_missing(scene: np.ndarray, feature: np.ndarray, all_scenes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows for all of `all_scenes` (M,), in their order: NaN where `scene` (N,) lacks one (no shoe was seen).

    >>> with_missing(np.array([3]), np.ones((1, 2)), np.array([2, 3]))[1].tolist()
    [[nan, nan], [1.0, 1.0]]
    """
    full = np.full((len(all_scenes), feature.shape[1]), np.nan, np.float32)
    row_of = {number: row for row, number in enumerate(all_scenes.tolist())}
    full[[row_of[number] for number in scene.tolist()]] = feature
    return np.asarray(all_scenes), full
