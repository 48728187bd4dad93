"""Features by the catalogue of params.yaml: a row per scene, NaN where nothing was seen."""

import functools

import numpy as np
import polars as pl
import pytest
import torch

from runner_reid import extractors, tables, weights
from runner_reid.crops import encode_crop, read_person_scenes
from runner_reid.errors import InputError
from runner_reid.features import extract_features

READS = {name: extractors.get(name).CROPS.replace("any", "person") for name in extractors.methods()}
CATALOGUE = {
    name: extractors.get(name).EXAMPLE
    | {"method": name, "metric": "cosine"}
    | ({"crops": "person"} if extractors.get(name).CROPS == "any" else {})
    for name in extractors.methods()
}
TRAINING = {"fit": {"seed": 0}}


def scenes_of(numbers) -> pl.DataFrame:
    return tables.SCENES.frame(
        [
            {"scene": scene, "track": scene, "first_frame": 0, "last_frame": 9, "start_s": float(scene), "end_s": 1.0}
            | {"direction": "left", "speed": 3.0, "cadence": 170.0}
            for scene in numbers
        ]
    )


@pytest.fixture(scope="module")
def given(tmp_path_factory, found):
    """A function that gives what a method reads: sequences, the file of crops, weights; scene 1 has no shoe."""
    folder = tmp_path_factory.mktemp("features")
    members = found.tracks.filter(pl.col("frame").is_between(24, 33)).sort("track", "frame")
    sequences = members.select(
        scene="track",
        position=pl.int_range(pl.len()).over("track").cast(pl.Int16),
        frame="frame",
        person="person",
    )
    image = np.full((20, 40, 3), (200, 60, 30), np.uint8)
    shoe = encode_crop(image, np.ones((20, 40), bool), max_height=99, quality=90)
    tables.SHOE_CROPS.write(
        tables.SHOE_CROPS.frame({"scene": [0], "rank": [0], "image": [shoe]}), folder / "shoe_crops.parquet"
    )

    @functools.cache
    def of(method: str) -> dict:
        module = extractors.get(method)
        crops_path = found.crops_path if READS[method] == "person" else folder / "shoe_crops.parquet"
        choices = {"sequences": sequences, "crops_path": crops_path, "weights": [], "training": {}, "device": "cpu"}
        if not module.LEARNED:
            return choices
        places = {"device": torch.device("cpu"), "checkpoint": folder / f"{method}.checkpoint", "fingerprint": ""}
        scenes = read_person_scenes(crops_path, pl.concat([sequences, sequences.with_columns(pl.col("scene") + 2)]))
        model, rows, _ = module.train(scenes, **module.EXAMPLE_TRAINING, seed=0, **places)
        list(rows)
        card = {"name": method, "command": "make", "params": TRAINING, "data": [], "scores": {}}
        weights.save_weights(folder / f"{method}.pt", model.state_dict(), card=card)
        return choices | {"weights": str(folder / f"{method}.pt"), "training": TRAINING}

    return of


@pytest.mark.parametrize("method", CATALOGUE)
@pytest.mark.parametrize("numbers", [[0, 1], [1, 0], [0, 1, 7]], ids=["both", "other order", "one without crops"])
def test_a_row_per_scene_in_the_order_of_the_scenes(given, method, numbers):
    choices = given(method)
    scene, feature = extract_features(CATALOGUE[method], scenes=scenes_of(numbers), **choices)
    assert scene.tolist() == numbers and feature.shape[0] == len(numbers) and feature.dtype == np.float32
    seen = {0, 1} if READS[method] == "person" else {0}
    assert np.isfinite(feature).all(axis=1).tolist() == [number in seen for number in numbers]
    assert np.isnan(feature).all(axis=1).tolist() == [number not in seen for number in numbers]


@pytest.mark.parametrize("method", CATALOGUE)
def test_no_scenes_no_features(given, method, tmp_path):
    choices = {**given(method), "sequences": tables.SEQUENCES.empty()}
    if READS[method] == "shoe":
        choices["crops_path"] = tmp_path / "shoe_crops.parquet"
        tables.SHOE_CROPS.write(tables.SHOE_CROPS.empty(), choices["crops_path"])
    scene, feature = extract_features(CATALOGUE[method], scenes=scenes_of([]), **choices)
    assert scene.shape == (0,) and feature.shape[0] == 0 and feature.shape[1] > 1


@pytest.mark.parametrize("method", [name for name in CATALOGUE if extractors.get(name).LEARNED])
def test_weights_of_other_params_are_refused(given, method):
    choices = {**given(method), "training": {"fit": {"seed": 1}}}
    with pytest.raises(InputError, match=r"trained with fit\.seed = 0, got fit\.seed = 1"):
        extract_features(CATALOGUE[method], scenes=scenes_of([0, 1]), **choices)


def test_an_entry_may_say_which_crops_it_reads(given):
    choices = {**given("hhcl"), "crops_path": given("shoe_hist")["crops_path"]}
    entry = CATALOGUE["hhcl"] | {"crops": "shoe"}
    scene, feature = extract_features(entry, scenes=scenes_of([0, 1]), **choices)
    assert scene.tolist() == [0, 1] and np.isfinite(feature[0]).all() and np.isnan(feature[1]).all()


def test_another_method_is_told(given):
    with pytest.raises(InputError, match="got method 'none', expected one of"):
        extract_features({"method": "none", "metric": "cosine"}, scenes=scenes_of([]), **given("color_hist"))


def test_the_catalogue_can_be_run(given, params):
    for entry in params["extractors"].values():
        start = entry.get("network", {}).get("initial", "random")
        if not extractors.get(entry["method"]).LEARNED and start in ("random", "imagenet"):
            _, feature = extract_features(entry, scenes=scenes_of([0]), **sole_scene(given(entry["method"])))
            assert np.isfinite(feature).all()


def sole_scene(choices: dict) -> dict:
    return {**choices, "sequences": choices["sequences"].filter(pl.col("scene") == 0)}
