"""Our networks as `mlflow.pyfunc` calls them: a table of pictures in, a table of answers out.

A served model is a folder: the weights, their card, and CHOICES (JSON): what the network is called with. Nothing in it
is a pickle; who loads it needs this package installed.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from runner_reid import extractors, persons, runners, shoes, yolo
from runner_reid.crops import SceneCrops, decode_crop
from runner_reid.files import write_text
from runner_reid.networks import choose_device
from runner_reid.weights import card_path, load_weights, read_card

CHOICES = "choices.json"

PICTURE = {"image": "binary"}
"""An encoded picture (JPEG, PNG, WebP) a row."""
BOXES = {"picture": "long", "x1": "float", "y1": "float", "x2": "float", "y2": "float", "score": "float"}
"""A box a row, in pixels; picture: the row it was found in."""

Answer = Callable[[list[np.ndarray], pd.DataFrame], pd.DataFrame]


def write_served(folder: Path, *, weights: str | Path, choices: dict) -> None:
    """Write a served model to the (new) folder. choices: what the network is called with besides its weights."""
    folder.mkdir(parents=True)
    for path in (Path(weights), card_path(weights)):
        shutil.copy(path, folder / path.name)
    write_text(folder / CHOICES, json.dumps(choices, indent=2))


def columns(network: str) -> tuple[dict[str, str], dict[str, str]]:
    """The columns that a network takes and gives, with their types as MLflow calls them ([float]: a list)."""
    if network in ("persons", "shoes"):
        return PICTURE, BOXES
    if network == "runners":
        return PICTURE, {"score": "float"}
    return {"scene": "long", **PICTURE}, {"scene": "long", "feature": "[float]"}


def _load_pyfunc(data_path: str) -> "Served":
    """What `mlflow.pyfunc.load_model` calls, by this name."""
    return Served(Path(data_path))


class Served:
    """A network in the folder of a served model, on the GPU if there is one."""

    def __init__(self, folder: Path):
        weights = next(folder.glob("*.pt"))
        card = read_card(weights)
        choices = json.loads((folder / CHOICES).read_text())
        self.answer = _answer(card["name"], str(weights), training=card["params"], choices=choices)

    def predict(self, table: pd.DataFrame) -> pd.DataFrame:
        """The network's answer to a table with the columns of `columns`; a scene's pictures in order of time.

        Raises InputError for a picture that cannot be read.
        """
        return self.answer([decode_crop(image)[0] for image in table["image"]], table)


def _answer(network: str, weights: str, *, training: dict, choices: dict) -> Answer:
    device = choose_device("auto")
    if network in ("persons", "shoes"):
        architecture = persons.ARCHITECTURE if network == "persons" else shoes.ARCHITECTURE
        detector = yolo.load(architecture, weights, sha256="", training=training)
        return lambda images, _: _boxes(yolo.detect(detector, images, **choices, device=str(device)))
    state = load_weights(weights, params=training)
    if network == "runners":
        classifier = runners.build(training["backbone"], initial="random")
        classifier.load_state_dict(state)
        classifier.to(device)
        return lambda images, _: _scores(classifier, images, size=training["size"], **choices)
    module = extractors.get(choices["method"])
    own = {name: value for name, value in choices.items() if name not in ("method", "metric")}
    return lambda images, table: _features(
        *module.extract(_scenes(images, table["scene"]), **own, state=state, device=device)
    )


def _boxes(found: list[yolo.Detections]) -> pd.DataFrame:
    rows = [
        (picture, *box, score)
        for picture, detections in enumerate(found)
        for box, score in zip(detections.xyxy.tolist(), detections.score.tolist(), strict=True)
    ]
    return pd.DataFrame(rows, columns=list(BOXES)).astype(dict.fromkeys(["x1", "y1", "x2", "y2", "score"], np.float32))


def _scores(
    classifier: runners.Classifier, images: list[np.ndarray], *, size: tuple[int, int], batch: int
) -> pd.DataFrame:
    boxed = np.stack([runners.letterbox(image, size=size) for image in images])
    return pd.DataFrame({"score": runners.probabilities(classifier, boxed, batch=batch)})


def _scenes(images: list[np.ndarray], scene: pd.Series) -> list[SceneCrops]:
    """The scenes of the pictures, in which a black pixel is background."""
    rows = scene.reset_index(drop=True).groupby(scene.to_numpy()).indices
    return [
        SceneCrops(int(number), [images[row] for row in found], [images[row].any(axis=2) for row in found])
        for number, found in rows.items()
    ]


def _features(scene: np.ndarray, feature: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"scene": scene.astype(np.int64), "feature": feature.tolist()})
