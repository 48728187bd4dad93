"""Weights and their cards: what they keep, and what they refuse."""

import json
import pickle

import pytest
import torch

from runner_reid import files, weights
from runner_reid.errors import InputError

PARAMS = {"epochs": 3, "size": [128, 64], "augment": {"flip": 0.5}}
CARD = {
    "name": "tiny",
    "command": "make",
    "params": PARAMS,
    "data": [{"path": "a", "sha256": "0"}],
    "scores": {"f1": 1},
}


def state() -> dict[str, torch.Tensor]:
    values = torch.linspace(-3, 3, 12).reshape(3, 4)
    return {"weight": values.T, "count": torch.tensor(5), "large": torch.tensor([1e6, 1.0])}


@pytest.fixture
def path(tmp_path):
    weights.save_weights(tmp_path / "tiny.pt", state(), card=CARD)
    return tmp_path / "tiny.pt"


def test_a_round_trip_keeps_values_to_half_precision(path):
    loaded = weights.load_weights(path, params={**PARAMS, "size": (128, 64)})
    assert loaded["weight"].dtype == torch.float32 and loaded["count"].item() == 5
    torch.testing.assert_close(loaded["weight"], state()["weight"], rtol=1 / 2048, atol=0)
    assert loaded["large"].tolist() == [1e6, 1.0]


def test_half_precision_is_stored(path):
    assert torch.load(path, weights_only=True)["state"]["weight"].dtype == torch.float16


def test_the_card_describes_the_file(path):
    card = weights.read_card(path)
    assert card["sha256"] == files.sha256(path)
    assert {key: card[key] for key in CARD} == CARD


def test_the_same_state_gives_the_same_bytes(path, tmp_path):
    again = tmp_path / "other" / "name.pt"
    weights.save_weights(again, state(), card=CARD)
    assert again.read_bytes() == path.read_bytes()
    assert weights.card_path(again).read_bytes() == weights.card_path(path).read_bytes()


@pytest.mark.parametrize("card", [{}, {**CARD, "more": 1}])
def test_a_card_has_its_keys(tmp_path, card):
    with pytest.raises(ValueError, match="a card has the keys"):
        weights.save_weights(tmp_path / "tiny.pt", state(), card=card)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "params, message",
    [
        ({**PARAMS, "epochs": 4}, "trained with epochs = 3, got epochs = 4"),
        ({**PARAMS, "augment": {"flip": 0.1}}, "trained with augment.flip = 0.5, got augment.flip = 0.1"),
        ({**PARAMS, "more": None}, "trained with more = nothing, got more = null"),
        ({"size": [128, 64], "augment": {"flip": 0.5}}, "trained with epochs = 3, got epochs = nothing"),
    ],
)
def test_other_params_are_refused_by_name(path, params, message):
    with pytest.raises(InputError, match=message):
        weights.load_weights(path, params=params)


def rewrite_card(path, **changes):
    card = weights.card_path(path)
    card.write_text(json.dumps({**json.loads(card.read_text()), **changes}))


def truncate(path):
    path.write_bytes(path.read_bytes()[:-20])


def replace_by_text(path):
    path.write_text("no weights")
    rewrite_card(path, sha256=files.sha256(path))


def replace_by_tensor(path):
    torch.save(torch.ones(2), path)
    rewrite_card(path, sha256=files.sha256(path))


def replace_by_pickle(path):
    path.write_bytes(pickle.dumps({"state": print}, protocol=2))
    rewrite_card(path, sha256=files.sha256(path))


@pytest.mark.parametrize(
    "damage, message",
    [
        (truncate, "expected sha256"),
        (replace_by_text, "expected weights of this project"),
        (replace_by_tensor, "expected weights of this project"),
        (replace_by_pickle, "expected weights of this project"),
        (lambda path: path.unlink(), "found no file"),
        (lambda path: weights.card_path(path).unlink(), "expected its card tiny.json"),
        (lambda path: weights.card_path(path).write_text("{"), "expected a JSON card"),
        (lambda path: weights.card_path(path).write_text("{}"), "expected the keys"),
    ],
)
def test_damage_is_told_in_one_line(path, damage, message):
    damage(path)
    with pytest.raises(InputError, match=message) as error:
        weights.load_weights(path, params=PARAMS)
    assert "\n" not in str(error.value) and "tiny" in str(error.value)


def test_promoted_weights_are_whole(path, tmp_path):
    path.with_suffix(".csv").write_text("epoch\n0\n")
    path.with_suffix(".checkpoint").write_text("unfinished")
    weights.promote(path, tmp_path / "promoted")
    promoted = tmp_path / "promoted" / tmp_path.name
    assert {file.name for file in promoted.iterdir()} == {"tiny.csv", "tiny.json", "tiny.pt"}
    assert weights.load_weights(promoted / "tiny.pt", params=PARAMS)["count"].item() == 5


def test_only_pinned_pickles_pass(tmp_path):
    path = tmp_path / "foreign.pt"
    path.write_bytes(b"pickle")
    weights.check_pinned(path, sha256=files.sha256(path))
    for wrong in (None, "0" * 64):
        with pytest.raises(InputError, match=files.sha256(path)):
            weights.check_pinned(path, sha256=wrong)
    with pytest.raises(InputError, match="found no file"):
        weights.check_pinned(tmp_path / "none.pt", sha256=None)
