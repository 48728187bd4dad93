"""Step 4: one feature per scene, by an entry of the catalogue of extractors."""

from pathlib import Path

import numpy as np
import polars as pl

from runner_reid import extractors
from runner_reid.crops import read_person_scenes, read_shoe_scenes
from runner_reid.networks import choose_device
from runner_reid.weights import load_weights


def extract_features(
    choices: dict,
    *,
    scenes: pl.DataFrame,
    sequences: pl.DataFrame,
    crops_path: str | Path,
    weights: str | list[str],
    training: dict,
    device: str,
) -> tuple[np.ndarray, np.ndarray]:
    """The features of all scenes: scene (N,), feature (N, D); a row of NaN for a scene without crops (no clear shoe).

    choices: the entry: its `method`, the `metric` its features are compared by, what its `extract` takes, and, where
    the method reads any, its `crops`.
    scenes, sequences: tables SCENES, SEQUENCES. crops_path: a file PERSON_CROPS or SHOE_CROPS, as the method declares.
    weights: the path of a learned method's, else empty; `training` is what they were trained with.
    """
    module = extractors.get(choices["method"])
    own = {name: value for name, value in choices.items() if name not in ("method", "metric", "crops")}
    if module.LEARNED:
        own |= {"state": load_weights(str(weights), params=training), "device": choose_device(device)}
    person = choices.get("crops", module.CROPS) == "person"
    crops = read_person_scenes(crops_path, sequences) if person else read_shoe_scenes(crops_path)
    scene, feature = module.extract(crops, **own)
    return extractors.with_missing(scene, feature, scenes["scene"].to_numpy())
