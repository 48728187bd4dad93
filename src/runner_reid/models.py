"""Training of what the steps need: from rendered (or labelled) videos to weights with a card.

Each function returns a `Training`, scored on videos it has not seen; `finish` runs it to the end.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from runner_reid import persons, runner_training, runners, shoes, tables, yolo
from runner_reid.benchmarks import read_cameras
from runner_reid.crops import SceneCrops, read_person_scenes, read_shoe_scenes
from runner_reid.detection_scores import average_precision
from runner_reid.extractors import get
from runner_reid.files import sha256
from runner_reid.networks import prepare
from runner_reid.pictures import write_picture
from runner_reid.provenance import digest
from runner_reid.training import write_history
from runner_reid.weights import save_weights


class Training(NamedTuple):
    """network, rows: drawing a row trains one epoch. score, picture: of the trained network, where there is one."""

    network: torch.nn.Module
    rows: Iterator[dict]
    score: Callable[[], dict] = dict
    picture: Callable[[], np.ndarray] | None = None


@dataclass(frozen=True)
class Run:
    """Where a training runs: `device`; `checkpoint`, which it resumes from; `fingerprint` of all it depends on."""

    device: str
    checkpoint: Path
    fingerprint: str


def start(*, threads: int, checkpoint: str, code: str, choices: dict, data: list[str]) -> Run:
    """A run on `threads` cores that goes on from `checkpoint` if code, choices and data are those it was made with."""
    seen = [code, choices, [sha256(path) for path in data]]
    return Run(prepare(threads=threads), Path(checkpoint), digest({"seen": seen}))


def per_video(**paths: list[str]) -> list[dict[str, str]]:
    """Lists of paths, one entry per video each, as one mapping per video.

    >>> per_video(file=["a.mp4", "b.mp4"], frames=["a", "b"])
    [{'file': 'a.mp4', 'frames': 'a'}, {'file': 'b.mp4', 'frames': 'b'}]
    """
    return [dict(zip(paths, values, strict=True)) for values in zip(*paths.values(), strict=True)]


def train_persons(
    train: list[dict[str, str]],
    validation: list[dict[str, str]],
    *,
    pictures: dict,
    windows: dict,
    fit: dict,
    detect: dict,
    run: Run,
) -> Training:
    """The segmenter. train, validation: per video the paths of its file, frames and truth (persons).

    pictures, windows, fit: choices of `persons.training_pictures`, `persons.training_windows`, `yolo.train`.
    detect: size and match_iou of `yolo.detect`. Scores: average precision of boxes and masks.
    """

    def read(videos: list[dict[str, str]]) -> list[yolo.Example]:
        return persons.training_pictures(
            [
                (
                    [Path(video["file"])],
                    tables.FRAMES.read(video["frames"]),
                    tables.TRUTH_PERSONS.read(video["persons"]),
                )
                for video in videos
            ],
            **pictures,
        )

    examples = persons.training_windows(read(train), **windows)
    return _train_detector(persons.ARCHITECTURE, {}, examples, lambda: read(validation), fit, detect, run)


def train_shoes(
    train: list[dict[str, str]],
    validation: list[dict[str, str]],
    *,
    pictures: dict,
    squares: dict,
    fit: dict,
    detect: dict,
    initial: dict[str, torch.Tensor],
    run: Run,
) -> Training:
    """The shoe detector, fine-tuned from the tensors `initial` of another YOLOv8n. Otherwise as `train_persons`."""

    def read(videos: list[dict[str, str]]) -> list[yolo.Example]:
        return shoes.training_pictures(
            [
                (
                    [Path(video["file"])],
                    tables.FRAMES.read(video["frames"]),
                    tables.TRUTH_PERSONS.read(video["persons"]),
                    tables.TRUTH_SHOES.read(video["shoes"]),
                )
                for video in videos
            ],
            **pictures,
        )

    examples = shoes.training_squares(read(train), **squares)
    return _train_detector(shoes.ARCHITECTURE, initial, examples, lambda: read(validation), fit, detect, run)


def train_runners(
    train: list[dict[str, str]],
    validation: list[dict[str, str]],
    *,
    backbone: str,
    size: tuple[int, int],
    labels: dict,
    crops: dict,
    fit: dict,
    batch: int,
    run: Run,
) -> Training:
    """The runner classifier. train, validation: per video the paths of its found persons, person_crops and truth.

    labels, crops, fit: choices of `label_crops`, `read_labelled_crops`, `train` in `runner_training`.
    """

    def read(videos: list[dict[str, str]]) -> runner_training.LabelledCrops:
        sessions = [
            (
                video["crops"],
                runner_training.label_crops(
                    tables.PERSONS.read(video["persons"]), tables.TRUTH_PERSONS.read(video["truth"]), **labels
                ),
            )
            for video in videos
        ]
        return runner_training.read_labelled_crops(sessions, size=size, **crops)

    model, rows = runner_training.train(
        read(train),
        backbone=backbone,
        **fit,
        device=torch.device(run.device),
        checkpoint=run.checkpoint,
        fingerprint=run.fingerprint,
    )

    def score() -> dict:
        held = read(validation)
        found = runners.probabilities(model, held.images, batch=batch)
        return runner_training.classifier_scores(found, held.runner)

    return Training(model, rows, score)


def train_extractor(
    train: list[dict[str, str]], *, cameras: list[str], method: str, crops: str, fit: dict, run: Run
) -> Training:
    """A learned extractor. No label is read.

    train: per video the paths of its sequences and crops. cameras: for sets of pictures, in the same order, the paths
    of their tables IMAGES; empty for videos. crops: which crops are given, "person" or "shoe".
    """
    scenes = _scenes(train, cameras, crops)
    network, rows, picture = get(method).train(
        scenes,
        **fit,
        device=torch.device(run.device),
        checkpoint=run.checkpoint,
        fingerprint=run.fingerprint,
    )
    return Training(network, rows, picture=picture)


def _scenes(train: list[dict[str, str]], cameras: list[str], crops: str) -> Iterator[SceneCrops]:
    for video, path in itertools.zip_longest(train, cameras):
        camera = read_cameras(path) if path else {}
        sequences = tables.SEQUENCES.read(video["sequences"])
        read = read_person_scenes(video["crops"], sequences) if crops == "person" else read_shoe_scenes(video["crops"])
        for scene in read:
            yield dataclasses.replace(scene, camera=camera.get(scene.scene, 0))


def finish(
    training: Training,
    run: Run,
    *,
    weights: str,
    history: str,
    picture: str = "",
    data: list[str],
    name: str,
    command: str,
    params: dict,
) -> None:
    """Train to the end, score, and write weights, card and history; then the checkpoint is not needed any more.

    picture: where a training that has one writes it. data: the files learned from. command: what trains these weights
    again. params: their section of params.yaml.
    """
    passed = list(training.rows)
    write_history(passed, history)
    card = {
        "name": name,
        "command": command,
        "params": params,
        "data": [{"path": path, "sha256": sha256(path)} for path in data],
        "scores": {**{key: value for key, value in passed[-1].items() if key != "seconds"}, **training.score()},
    }
    save_weights(weights, training.network.state_dict(), card=card)
    if training.picture:
        write_picture(picture, training.picture())
    run.checkpoint.unlink(missing_ok=True)


def _train_detector(
    architecture: str,
    initial: dict[str, torch.Tensor],
    examples: Callable[[np.random.Generator], Iterator[yolo.Example]],
    held: Callable[[], list[yolo.Example]],
    fit: dict,
    detect: dict,
    run: Run,
) -> Training:
    model, rows = yolo.train(
        architecture,
        initial,
        examples,
        **fit,
        device=run.device,
        checkpoint=run.checkpoint,
        fingerprint=run.fingerprint,
    )

    def score() -> dict:
        truth = held()
        network = yolo.predictor(architecture, {name: tensor.cpu() for name, tensor in model.state_dict().items()})
        found = [
            yolo.detect(network, [image], **detect, min_score=0.001, device=run.device)[0] for image, _, _ in truth
        ]
        return average_precision(truth, found)

    return Training(model, rows, score)
