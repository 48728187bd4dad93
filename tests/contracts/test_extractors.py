"""One suite that every extractor passes; a new file in the folder is tested by it with no new test."""

import inspect

import numpy as np
import pytest
import torch

from runner_reid import extractors
from runner_reid.crops import SceneCrops
from runner_reid.errors import InputError

CPU = torch.device("cpu")


def scene(number: int, length: int) -> SceneCrops:
    """A made-up scene whose crops differ in size."""
    rng = np.random.default_rng(number)
    images, masks = [], []
    for _ in range(length):
        height, width = rng.integers(20, 60, 2)
        mask = np.zeros((height, width), bool)
        mask[height // 8 : -height // 8, width // 4 : -width // 4] = True
        images.append(rng.integers(30, 256, (height, width, 3), np.uint8) * mask[..., None])
        masks.append(mask)
    return SceneCrops(number, images, masks)


SCENES = [scene(number, length) for number, length in ((4, 5), (9, 1), (2, 3), (7, 8), (11, 2))]


def train(module, folder, *, seed=0):
    choices = {"seed": seed, "device": CPU, "checkpoint": folder / "checkpoint.pt", "fingerprint": ""}
    model, rows, _ = module.train(iter(SCENES), **module.EXAMPLE_TRAINING, **choices)
    return model.state_dict(), list(rows)


@pytest.fixture(scope="module", params=extractors.methods())
def method(request, tmp_path_factory):
    """A module of the folder, and its `extract` with choices (and, if learned, weights) filled in."""
    module = extractors.get(request.param)
    choices = dict(module.EXAMPLE)
    if module.LEARNED:
        choices |= {"state": train(module, tmp_path_factory.mktemp(request.param))[0], "device": CPU}
    return module, lambda scenes: module.extract(iter(scenes), **choices)


def test_it_declares_itself(method):
    module, _ = method
    assert module.CROPS in ("person", "shoe", "any") and isinstance(module.LEARNED, bool)
    assert module.__doc__ and module.extract.__doc__


def test_choices_are_keywords_without_defaults(method):
    module, _ = method
    for function, given in [(module.extract, set(module.EXAMPLE))] + (
        [(module.train, set(module.EXAMPLE_TRAINING))] if module.LEARNED else []
    ):
        scenes, *choices = inspect.signature(function).parameters.values()
        assert scenes.name == "scenes"
        assert all(choice.kind is choice.KEYWORD_ONLY and choice.default is choice.empty for choice in choices)
        asked = {choice.name for choice in choices}
        assert asked - given <= {"state", "device", "seed", "checkpoint", "fingerprint"} and given <= asked


def test_shape_and_type(method):
    scene, feature = method[1](SCENES)
    assert scene.tolist() == [2, 4, 7, 9, 11] and scene.dtype.kind == "i"
    assert feature.shape == (5, feature.shape[1]) and feature.dtype == np.float32
    assert np.isfinite(feature).all()


def test_no_scenes_give_no_rows_of_the_same_width(method):
    scene, feature = method[1]([])
    assert scene.shape == (0,) and scene.dtype.kind == "i" and feature.dtype == np.float32
    assert feature.shape == (0, method[1](SCENES[:1])[1].shape[1])


def test_repeatable_and_blind_to_order(method):
    scene, feature = method[1](SCENES)
    for again in (method[1](SCENES), method[1](SCENES[::-1])):
        np.testing.assert_array_equal(again[0], scene)
        np.testing.assert_array_equal(again[1], feature)


def test_a_scene_does_not_depend_on_the_others(method):
    scene, feature = method[1](SCENES)
    for one in SCENES:
        np.testing.assert_allclose(method[1]([one])[1][0], feature[scene == one.scene][0], rtol=1e-5, atol=1e-6)


def test_different_scenes_differ(method):
    feature = method[1](SCENES)[1]
    assert len(np.unique(feature, axis=0)) == len(feature)


def test_training_repeats_and_follows_the_seed(method, tmp_path):
    module, _ = method
    if not module.LEARNED:
        pytest.skip("needs no weights")
    runs = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        (tmp_path / name).mkdir()
        state, rows = train(module, tmp_path / name, seed=seed)
        assert [row["epoch"] for row in rows] == [0]
        assert all(np.isfinite(value) for row in rows for value in row.values())
        runs.append(state)
    assert all(torch.equal(runs[0][key], runs[1][key]) for key in runs[0])
    assert not all(torch.equal(runs[0][key], runs[2][key]) for key in runs[0])


def test_the_folder_is_the_registry():
    assert {"color_hist", "shoe_hist", "gru_ae", "hhcl", "spcl", "ice", "pplr"} <= set(extractors.methods())


@pytest.mark.parametrize("name", ["", "no_such", "__init__", "../crops", "Color_Hist"])
def test_an_unknown_method_is_answered_with_the_known(name):
    with pytest.raises(InputError, match="expected one of backbone, color_hist, gru_ae") as error:
        extractors.get(name)
    assert "\n" not in str(error.value)


def test_missing_scenes_become_nan():
    scene, feature = extractors.with_missing(np.array([7, 2]), np.array([[1.0], [2.0]]), np.array([2, 3, 7]))
    assert scene.tolist() == [2, 3, 7]
    np.testing.assert_array_equal(feature, np.array([[2], [np.nan], [1]], np.float32))
