"""The GRU auto-encoder against a slow, plain reading of the paper."""

import numpy as np
import pytest
import torch

from runner_reid import networks, weights
from runner_reid.crops import SceneCrops
from runner_reid.errors import InputError
from runner_reid.extractors import gru_ae

CPU = torch.device("cpu")
MIN_FRAMES = 7
TRAINING = gru_ae.EXAMPLE_TRAINING | {"min_frames": MIN_FRAMES}


def frames(length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([length, seed]).integers(0, 256, (length, 64, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def model():
    networks.seed_everything(0)
    return gru_ae.AutoEncoder(min_frames=MIN_FRAMES, initial_state="zero").eval()


def feature_of(model, *scenes):
    with torch.no_grad():
        return model.encoder(list(scenes))[1]


def plain_loss(model, scenes) -> float:
    """Scene by scene, step by step, over padded sequences, with the mask of the paper."""
    total, values = 0.0, 0
    for scene in scenes:
        length = max(MIN_FRAMES, len(scene))
        padded = torch.zeros(length, 3, 64, 64)
        padded[length - len(scene) :] = torch.from_numpy(scene).permute(0, 3, 1, 2) / 255
        codes = [model.encoder.frames(frame[None]) for frame in padded]
        hidden = torch.zeros(1, 1, 128)
        for code in codes:
            _, hidden = model.encoder.gru(code[None], hidden)
        for t in range(length - 1, 0, -1):
            output, hidden = model.gru(codes[t][None], hidden)
            target = padded[t - 1]
            if not target[0].any():
                continue
            total += (model.images(output[0]) - target).square().sum().item()
            values += target.numel()
    return total / values


@pytest.mark.parametrize("lengths", [(3,), (2, 5, 3), (7, 2), (9, 4)], ids=str)
def test_the_loss_is_that_of_the_plain_reading(model, lengths):
    scenes = [frames(length) for length in lengths]
    with torch.no_grad():
        error, count = model.errors(scenes)
        assert count == sum(length - 1 for length in lengths) * 3 * 64 * 64
        assert (error / count).item() == pytest.approx(plain_loss(model, scenes), rel=1e-5)


def test_shapes(model):
    pixels, feature, codes = model.encoder([frames(2), frames(5)])
    assert pixels.shape == (7, 3, 64, 64) and pixels.min() >= 0 and pixels.max() <= 1
    assert feature.shape == (2, 128) and [code.shape for code in codes] == [(2, 128), (5, 128)]
    assert model.encoder.frames[:-2](pixels).shape == (7, 512, 4, 4)
    assert model.images(codes[1]).shape == (5, 3, 64, 64)


def test_channels_and_strides_are_those_of_the_paper(model):
    convolutions = [layer for layer in model.encoder.frames if isinstance(layer, torch.nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == [32, 64, 128, 256, 512]
    assert [layer.stride[0] for layer in convolutions] == [1, 2, 2, 2, 2]
    assert not any(layer.bias is not None for layer in convolutions)
    assert sum(isinstance(layer, torch.nn.BatchNorm2d) for layer in model.encoder.frames) == 4
    transposed = [layer for layer in model.images if isinstance(layer, torch.nn.ConvTranspose2d)]
    assert [layer.out_channels for layer in transposed] == [256, 128, 64, 32]


@pytest.mark.parametrize("others", [(), (3,), (MIN_FRAMES,), (MIN_FRAMES + 4, 2)], ids=str)
def test_a_feature_does_not_depend_on_longer_scenes_beside_it(model, others):
    alone = feature_of(model, frames(3))[0]
    together = feature_of(model, frames(3), *(frames(length, seed=1) for length in others))[0]
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)


def test_padding_is_black_frames_in_front(model):
    black = np.zeros((MIN_FRAMES - 3, 64, 64, 3), np.uint8)
    padded = feature_of(model, np.concatenate([black, frames(3)]))
    torch.testing.assert_close(feature_of(model, frames(3)), padded, rtol=0, atol=1e-6)


def scenes(*lengths):
    return [SceneCrops(i, list(frames(n, i)), [np.ones((64, 64), bool)] * n) for i, n in enumerate(lengths)]


def test_a_random_start_repeats_by_scene(model):
    choices = {"min_frames": MIN_FRAMES, "state": model.encoder.state_dict(), "device": CPU}
    one, two = (gru_ae.extract(scenes(3, 4), initial_state="normal", **choices)[1] for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert np.abs(one - gru_ae.extract(scenes(3, 4), initial_state="zero", **choices)[1]).max() > 1e-4


def train(folder, *lengths, **changes):
    choices = TRAINING | changes | {"seed": 0, "device": CPU, "fingerprint": ""}
    return gru_ae.train(scenes(*lengths), checkpoint=folder / "checkpoint.pt", **choices)


@pytest.mark.parametrize(
    "schedule, precision, last",
    [("constant", "float32", 1e-3), ("cosine", "bfloat16", 0), ("published", "float32", 1e-3)],
)
def test_it_learns_and_resumes(tmp_path, schedule, precision, last):
    (tmp_path / "broken").mkdir()
    choices = {"epochs": 4, "schedule": schedule, "precision": precision, "initial_state": "normal"}
    model, rows, picture = train(tmp_path, 3, 4, 1, 2, 5, 3, **choices)
    history = list(rows)
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    assert history[-1]["learning_rate"] == pytest.approx(last)
    assert picture().shape[0] % 66 == 64 and picture().any()  # rows of frames and, below each, of predictions
    _, rows, _ = train(tmp_path / "broken", 3, 4, 1, 2, 5, 3, **choices)
    next(rows)
    rows.close()
    again, rows, _ = train(tmp_path / "broken", 3, 4, 1, 2, 5, 3, **choices)
    assert [row["train_loss"] for row in rows] == [row["train_loss"] for row in history]
    state = again.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())


def test_stored_weights_give_nearly_the_same_feature(model, tmp_path):
    card = {"name": "gru_ae", "command": "", "params": {}, "data": [], "scores": {}}
    weights.save_weights(tmp_path / "gru_ae.pt", model.encoder.state_dict(), card=card)
    stored = weights.load_weights(tmp_path / "gru_ae.pt", params={})
    one, two = (
        gru_ae.extract(scenes(3, 4), min_frames=MIN_FRAMES, initial_state="zero", state=state, device=CPU)[1]
        for state in (model.encoder.state_dict(), stored)
    )
    np.testing.assert_allclose(one, two, atol=1e-3)


@pytest.mark.parametrize(
    "lengths, changes, message",
    [
        ((), {}, "expected two scenes"),
        ((1, 1, 3), {}, "expected two scenes"),
        ((3, 3), {"schedule": "linear"}, "schedule: got 'linear'"),
        ((3, 3), {"precision": "float16"}, "precision: got 'float16'"),
        ((3, 3), {"initial_state": "one"}, "initial_state: got 'one'"),
    ],
)
def test_what_cannot_be_learnt_from_is_told(tmp_path, lengths, changes, message):
    with pytest.raises(InputError, match=message):
        train(tmp_path, *lengths, **changes)
