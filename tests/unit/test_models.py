"""Training from files to files: each model once, tiny, through the functions that the scripts call."""

import json
import logging

import polars as pl
import pytest

from runner_reid import models, tables, yolo
from runner_reid.errors import InputError
from runner_reid.files import sha256
from runner_reid.weights import load_weights

FIT = {"epochs": 2, "batches_per_epoch": 1, "batch": 2, "learning_rate": 0.002, "weight_decay": 0.0}
FIT |= {"precision": "bfloat16", "seed": 0}
DETECT = {"size": 96, "match_iou": 0.7}
PERSONS = {
    "pictures": {"frames_per_video": 5, "size": 96, "seed": 0},
    "windows": {"window": 64, "min_scale": 0.5, "max_scale": 1.5},
    "fit": FIT,
}
SHOES = {
    "pictures": {"crops_per_video": 5, "margin": 0.1, "size": 64, "seed": 0},
    "squares": {"min_scale": 0.7, "max_scale": 1.3},
    "fit": FIT,
}
RUNNERS = {
    "backbone": "test_efficientnet.r160_in1k",
    "size": [64, 32],
    "labels": {"min_iou": 0.5, "max_stray_iou": 0.1, "min_visible": 0.3, "also": []},
    "crops": {"max_crops": 40, "max_class_ratio": 4.0, "seed": 0},
    "fit": {
        "initial": "random", "epochs": 1, "batch": 16, "learning_rate": 0.001, "balanced": False,
        "validation_share": 0.2, "seed": 0,
        "augment": {"flip": 0.5, "brightness": 0.2, "contrast": 0.2, "colour": 0.1, "shift": 0.05, "erase": 0.25},
    },
}  # fmt: skip
GRU_AE = {
    "fit": {
        "min_frames": 6, "initial_state": "zero", "epochs": 1, "batch": 4, "learning_rate": 0.001,
        "schedule": "constant", "precision": "float32", "validation_share": 0.2, "seed": 0,
    }
}  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory, practice, found) -> dict[str, list[str]]:
    """What trainings read, as lists of one path each. For the classifier, two walkers are among the runners."""
    folder = tmp_path_factory.mktemp("files")
    walkers = pl.concat(
        [
            practice.truth.persons,
            *(
                practice.truth.persons.with_columns(
                    passage=pl.col("passage") + 10 * walker, actor=pl.format("walker{}", pl.lit(walker)),
                    runner=pl.lit(False), x1=pl.col("x1") + 500 * walker, x2=pl.col("x2") + 500 * walker,
                ).filter(pl.col("passage") == 10 * walker)
                for walker in (1, 2)
            ),
        ]
    )  # fmt: skip
    seen = walkers.sort("frame", "passage").with_columns(
        person=pl.int_range(pl.len()).over("frame").cast(pl.Int16), score=pl.lit(0.9, pl.Float32)
    )
    images = tables.PERSON_CROPS.read(found.crops_path)["image"]
    repeated = pl.Series([images[i % len(images)] for i in range(seen.height)])
    crops = seen.select("frame", "person", image=repeated)
    together = found.persons.filter(pl.col("person") == 1)["frame"].unique().sort()[:8]
    sequences = [
        {"scene": scene, "position": place, "frame": frame, "person": scene}
        for scene in range(2)
        for place, frame in enumerate(together.to_list())
    ]
    written = {
        "frames": (tables.FRAMES, practice.frames),
        "truth": (tables.TRUTH_PERSONS, practice.truth.persons),
        "shoes": (tables.TRUTH_SHOES, practice.truth.shoes),
        "people": (tables.TRUTH_PERSONS, walkers),
        "persons": (tables.PERSONS, seen.select(tables.PERSONS.schema.names())),
        "crops": (tables.PERSON_CROPS, crops),
        "sequences": (tables.SEQUENCES, tables.SEQUENCES.frame(sequences)),
    }
    for name, (table, rows) in written.items():
        table.write(rows, folder / f"{name}.parquet")
    paths = {name: [str(folder / f"{name}.parquet")] for name in written}
    return paths | {"video": [str(practice.path)], "found_crops": [str(found.crops_path)]}


def persons(files, run, **changes):
    videos = models.per_video(file=files["video"], frames=files["frames"], persons=files["truth"])
    return models.train_persons(videos, videos, **{**PERSONS, **changes}, detect=DETECT, run=run)


def shoes(files, run):
    videos = models.per_video(file=files["video"], frames=files["frames"], persons=files["truth"], shoes=files["shoes"])
    initial = yolo.build("yolov8n-seg").state_dict()
    return models.train_shoes(videos, videos, **SHOES, detect={**DETECT, "size": 64}, initial=initial, run=run)


def runners(files, run):
    videos = models.per_video(persons=files["persons"], crops=files["crops"], truth=files["people"])
    return models.train_runners(videos, videos, **RUNNERS, batch=8, run=run)


def gru_ae(files, run):
    videos = models.per_video(sequences=files["sequences"] * 3, crops=files["found_crops"] * 3)
    return models.train_extractor(videos, cameras=[], method="gru_ae", crops="person", **GRU_AE, run=run)


TRAININGS = {
    "persons": (persons, PERSONS, {"loss", "seg_loss", "box", "box50"}),
    "shoes": (shoes, SHOES, {"loss", "box", "box50"}),
    "runners": (runners, RUNNERS, {"train_loss", "f1", "others"}),
    "gru_ae": (gru_ae, GRU_AE, {"train_loss"}),
}
"""The function, its choices, and some of the scores that it gives."""


def start(folder, files, choices, **changes):
    places = {"threads": 1, "checkpoint": str(folder / "a.checkpoint")}
    return models.start(**{**places, "code": "0", "choices": choices, "data": files["frames"], **changes})


def finish(folder, files, training, run, name, choices):
    paths = {"weights": str(folder / f"{name}.pt"), "history": str(folder / f"{name}.csv")}
    paths |= {"picture": str(folder / f"{name}.webp")} if training.picture else {}
    models.finish(training, run, **paths, data=files["frames"], name=name, command="make", params=choices)
    return paths


@pytest.mark.parametrize("name", TRAININGS)
def test_from_files_to_weights(tmp_path, files, name):
    train, choices, scores = TRAININGS[name]
    run = start(tmp_path, files, choices)
    finish(tmp_path, files, train(files, run), run, name, choices)
    pictured = {"gru_ae.webp"} if name == "gru_ae" else set()
    assert {path.name for path in tmp_path.iterdir()} == {f"{name}.pt", f"{name}.json", f"{name}.csv"} | pictured
    card = json.loads((tmp_path / f"{name}.json").read_text())
    assert card["params"] == json.loads(json.dumps(choices)) and card["name"] == name
    assert card["data"] == [{"path": path, "sha256": sha256(path)} for path in files["frames"]]
    assert scores <= set(card["scores"]) and "seconds" not in card["scores"]
    history = pl.read_csv(tmp_path / f"{name}.csv")
    assert history["epoch"].to_list() == list(range(choices["fit"]["epochs"])) and "seconds" in history.columns
    assert load_weights(tmp_path / f"{name}.pt", params=choices)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, files) -> str:
    """The sha256 of the weights of a training that nobody broke off."""
    folder = tmp_path_factory.mktemp("whole")
    run = start(folder, files, PERSONS)
    return sha256(finish(folder, files, persons(files, run), run, "persons", PERSONS)["weights"])


@pytest.mark.parametrize("stop", [0, 1, 2])
def test_a_killed_training_goes_on(tmp_path, files, whole, caplog, stop):
    _, rows, *_ = persons(files, start(tmp_path, files, PERSONS))
    for _ in range(stop):
        next(rows)
    rows.close()
    run = start(tmp_path, files, PERSONS)
    with caplog.at_level(logging.INFO):
        weights = finish(tmp_path, files, persons(files, run), run, "persons", PERSONS)["weights"]
    assert ("training goes on after epoch" in caplog.text) == (stop > 0)
    assert sha256(weights) == whole


def test_a_training_of_something_else_starts_anew(tmp_path, files):
    fingerprints = {
        start(tmp_path, files, choices, **changes).fingerprint
        for choices, changes in [
            (PERSONS, {}),
            (SHOES, {}),
            (PERSONS, {"code": "1"}),
            (PERSONS, {"data": []}),
            (PERSONS, {"data": files["truth"]}),
            (PERSONS, {"threads": 2}),
            (PERSONS, {"checkpoint": "elsewhere"}),
        ]
    }
    assert len(fingerprints) == 5


@pytest.mark.parametrize(
    "paths, expected",
    [
        ({}, []),
        ({"file": []}, []),
        ({"file": ["a"], "frames": ["b"]}, [{"file": "a", "frames": "b"}]),
        ({"file": ["a", "c"], "frames": ["b", "d"]}, [{"file": "a", "frames": "b"}, {"file": "c", "frames": "d"}]),
    ],
)
def test_paths_per_video(paths, expected):
    assert models.per_video(**paths) == expected


def test_lists_of_paths_are_equally_long():
    with pytest.raises(ValueError, match="shorter"):
        models.per_video(file=["a", "b"], frames=["c"])


def test_another_method_is_told(files, tmp_path):
    with pytest.raises(InputError, match="got method 'none'"):
        models.train_extractor([], cameras=[], method="none", crops="person", fit={}, run=start(tmp_path, files, {}))
