"""Models of the registry, loaded as others load them: our own weights, through the real mlflow."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import polars as pl
import pytest
import yaml

from runner_reid import extractors, persons, recording, records, tables, weights, yolo
from runner_reid.crops import SceneCrops, decode_crop
from runner_reid.frames import read_frames
from runner_reid.networks import choose_device
from runner_reid.runners import score_by_network

ROOT = Path(__file__).parents[2]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
CHOICES = {
    "persons": PARAMS["persons"]["yolov8"],
    "runners": PARAMS["runners"]["efficientnet"],
    "shoes": PARAMS["shoes"]["yolov8"],
    "gru_ae": PARAMS["extractors"]["gru_ae"],
}
PROMOTED = {"persons": "all", "runners": "all", "shoes": "all", "gru_ae": "night"}


def made_of(path: Path, corpus: str) -> dict:
    """The record of a training that made the weights `path`."""
    card = weights.read_card(path)
    history = [{"epoch": 0, "loss": 2.0}, {"epoch": 1, "loss": 1.0}]
    cost = {"seconds": 2.0, "memory_usage_megabytes": 700.0}
    return records.training_record(
        card,
        history,
        corpus=corpus,
        machine=cost,
        texts={},
        tags={},
        weights=str(path),
        choices=CHOICES[card["name"]],
    )


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """A function that loads a model from a registry in which the promoted weights are recorded."""
    from mlflow import pyfunc, set_registry_uri, set_tracking_uri

    if not (ROOT / "data/weights/all/persons.pt").exists():
        pytest.skip("data/weights is empty: run `dvc pull` (make does)")
    folder = tmp_path_factory.mktemp("registry")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(recording, "DATABASE", f"sqlite:///{folder}/mlflow.db")  # its own: mlflow keeps them open by name
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        for name, corpus in PROMOTED.items():
            made = made_of(ROOT / f"data/weights/{corpus}/{name}.pt", corpus)
            for _ in range(2):  # again: the same version
                recording.record(made, outbox="outbox")
        set_tracking_uri(recording.DATABASE)
        set_registry_uri(recording.DATABASE)
        yield lambda name: pyfunc.load_model(f"models:/{name}@{PROMOTED[name]}")
        set_tracking_uri(None)
        set_registry_uri(None)


@pytest.fixture(scope="module")
def picture(practice) -> np.ndarray:
    """A frame of the practice in the middle."""
    middle = practice.frames.slice(practice.frames.height // 2, 1).with_columns(selected=True)
    return next(image for _, image in read_frames([practice.path], middle))


def encoded(image_rgb: np.ndarray) -> bytes:
    return cv2.imencode(".png", image_rgb[..., ::-1])[1].tobytes()


@pytest.mark.parametrize("name, module", [("persons", persons)])
def test_a_detector_finds_what_our_step_finds(registry, picture, name, module):
    model = registry(name)
    found = model.predict(pd.DataFrame({"image": [encoded(picture)] * 2}))
    path = ROOT / f"data/weights/all/{name}.pt"
    network = yolo.load(module.ARCHITECTURE, str(path), sha256="", training=weights.read_card(path)["params"])
    ours = yolo.detect(network, [picture], **CHOICES[name], device="cpu")[0]
    assert list(found) == [column.name for column in model.metadata.signature.outputs]
    for number in (0, 1):
        boxes = found[found["picture"] == number]
        np.testing.assert_allclose(boxes[["x1", "y1", "x2", "y2"]], ours.xyxy, atol=0.01)


def test_the_classifier_scores_as_our_step_does(registry, found):
    crops = tables.PERSON_CROPS.read(found.crops_path).head(12)
    scored = registry("runners").predict(pd.DataFrame({"image": crops["image"].to_list()}))
    path = ROOT / "data/weights/all/runners.pt"
    training = weights.read_card(path)["params"]
    ours = score_by_network(
        found.crops_path,
        state=weights.load_weights(path, params=training),
        device=choose_device("cpu"),
        **{name: training[name] for name in ("backbone", "size")},
        **CHOICES["runners"],
    )
    expected = crops.join(ours, on=["frame", "person"], maintain_order="left")["score"]
    np.testing.assert_allclose(scored["score"], expected, atol=1e-4)


def test_the_extractor_gives_the_features_of_our_step(registry, found):
    track = found.tracks["track"].mode().min()
    kept = found.tracks.filter(pl.col("track") == track)
    crops = tables.PERSON_CROPS.read(found.crops_path).join(kept, on=["frame", "person"]).sort("frame")
    images = crops["image"].to_list()
    table = pd.DataFrame({"scene": [7] * len(images), "image": images})
    answer = registry("gru_ae").predict(table)
    path = ROOT / "data/weights/night/gru_ae.pt"
    decoded = [decode_crop(image) for image in images]
    own = {name: value for name, value in CHOICES["gru_ae"].items() if name not in ("method", "metric")}
    _, ours = extractors.get("gru_ae").extract(
        [SceneCrops(7, [image for image, _ in decoded], [mask for _, mask in decoded])],
        **own,
        state=weights.load_weights(path, params=weights.read_card(path)["params"]),
        device=choose_device("cpu"),
    )
    assert answer["scene"].tolist() == [7]
    np.testing.assert_allclose(np.array(answer["feature"].tolist()), ours, atol=1e-5)


def test_every_network_has_a_version_with_its_card_and_curves(registry):
    client, experiment = recording._open(recording.DATABASE)
    assert len(client.search_runs([experiment])) == len(PROMOTED)
    for name, corpus in PROMOTED.items():
        version = client.get_model_version_by_alias(name, corpus)
        assert str(version.version) == "1" and "| score | value |" in version.description
        run = client.get_run(version.run_id)
        assert run.info.run_name == f"{name}@{corpus}" and run.data.tags["model"] == f"{name} version 1, @{corpus}"
        assert [point.value for point in client.get_metric_history(version.run_id, "loss")] == [2, 1]
        assert run.data.metrics["system/memory_usage_megabytes"] == 700


def test_a_table_that_is_none_is_refused(registry):
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException, match="missing inputs"):
        registry("runners").predict(pd.DataFrame({"picture": [b""]}))


def test_weights_that_were_replaced_are_not_taken_for_those_of_the_record(registry, tmp_path):
    for suffix in ("pt", "json"):
        shutil.copy(ROOT / f"data/weights/all/runners.{suffix}", tmp_path)
    made = made_of(tmp_path / "runners.pt", "all")
    made["key"] = made["model"]["alias"] = "other"
    (tmp_path / "runners.pt").write_bytes(b"others")
    recording.record(made, outbox=tmp_path / "outbox")
    client, experiment = recording._open(recording.DATABASE)
    (run,) = client.search_runs([experiment], filter_string="tags.record = 'other'")
    assert (
        run.data.tags["model"].startswith("not kept:") and "other" not in client.get_registered_model("runners").aliases
    )
    client.delete_run(run.info.run_id)
