"""Runner or not, by whichever method is chosen."""

import pytest
import torch

from runner_reid import runners, tables, weights
from runner_reid.classification import classify_runners
from runner_reid.errors import InputError

TRAINING = {"backbone": "test_efficientnet.r160_in1k", "size": [64, 32], "fit": {"seed": 0}}


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Weights of a tiny classifier that knows nothing."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "runners.pt"
    card = {"name": "runners", "command": "make", "params": TRAINING, "data": [], "scores": {}}
    weights.save_weights(path, runners.build(TRAINING["backbone"], initial="random").state_dict(), card=card)
    return str(path)


@pytest.fixture
def classify(practice, found, params, own):
    """A function that classifies the persons of the practice."""

    def classified(method: str, **changes):
        given = {
            **params["runners"],
            **{"method": method, "weights": own if method == "efficientnet" else [], "training": TRAINING},
            **{"tracking": params["tracking"], "device": "cpu"},
            **changes,
        }
        persons = given.pop("persons", found.persons)
        return tables.RUNNERS.check(classify_runners(practice.frames, persons, str(found.crops_path), **given))

    return classified


@pytest.mark.parametrize("method", ["all", "speed", "efficientnet"])
def test_every_detection_is_scored(classify, found, method):
    scored = classify(method)
    assert scored.select("frame", "person").equals(found.persons.select("frame", "person"))
    assert scored["score"].is_between(0, 1).all()


def test_each_method_is_its_own(classify):
    everybody, fast, guessed = (classify(method)["score"] for method in ("all", "speed", "efficientnet"))
    assert (everybody == 1).all()
    assert (fast > 0.9).mean() > 0.8
    assert (guessed == 0.5).all(), "a classifier that has learned nothing is undecided"


@pytest.mark.parametrize("method", ["all", "speed", "efficientnet"])
def test_a_video_without_people_is_told(classify, practice, method):
    selected = int(practice.frames["selected"].sum())
    with pytest.raises(InputError, match=f"no person was found in {selected} of 60 frames.*expected a video"):
        classify(method, persons=tables.PERSONS.empty())


@pytest.mark.parametrize("method", ["", "Speed", "yolo"])
def test_another_method_is_told(classify, method):
    with pytest.raises(InputError, match=f"got '{method}', expected one of efficientnet, speed, all"):
        classify(method)


def test_weights_of_other_params_are_refused(classify):
    with pytest.raises(InputError, match=r"trained with backbone = .*, got backbone = "):
        classify("efficientnet", training={**TRAINING, "backbone": "tf_efficientnet_lite0"})
    with pytest.raises(InputError, match=r"none\.pt: expected weights, found no file"):
        classify("efficientnet", weights="none.pt")
