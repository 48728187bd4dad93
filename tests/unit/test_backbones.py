"""Networks for crops: what is built, cut and refused."""

import numpy as np
import pytest
import torch

from runner_reid import backbones, networks
from runner_reid.crops import SceneCrops
from runner_reid.errors import InputError

PLAIN = {"backbone": "resnet50", "initial": "random", "last_stride": 2, "level": 5}
IMAGES = np.random.default_rng(0).integers(0, 256, (2, 64, 32, 3), np.uint8)


def build(**changes):
    networks.seed_everything(0)
    return backbones.build(**PLAIN | changes).eval()


@pytest.mark.parametrize(
    "changes, shape",
    [
        ({}, (2048, 2, 1)),
        ({"last_stride": 1}, (2048, 4, 2)),
        ({"level": 4}, (1024, 4, 2)),
        ({"backbone": "tf_efficientnet_lite0"}, (1280, 2, 1)),
        ({"backbone": "tf_efficientnet_lite0", "last_stride": 1}, (1280, 4, 2)),
        ({"backbone": "tf_efficientnet_lite0", "level": 4}, (112, 4, 2)),
        ({"backbone": "tf_efficientnet_lite0", "level": 3}, (40, 8, 4)),
        ({"backbone": "osnet_x0_25"}, (128, 4, 2)),
    ],
    ids=str,
)
def test_maps_and_vectors(changes, shape):
    network = build(**changes)
    with torch.no_grad():
        assert network.map(IMAGES).shape == (2, *shape)
        vectors = network(IMAGES)
    assert vectors.shape == (2, network.width)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2))


def test_a_last_stride_of_one_changes_no_weight():
    """As in re-ID with a ResNet: no dilation, and the short cut of the block keeps its size too."""
    one, two = build(last_stride=1), build()
    assert all(torch.equal(tensor, two.state_dict()[name]) for name, tensor in one.state_dict().items())
    assert one.trunk.layer4[0].conv2.stride == (1, 1) and one.trunk.layer4[0].conv2.dilation == (1, 1)
    assert one.trunk.layer4[0].downsample[0].stride == (1, 1) and one.trunk.layer3[0].conv2.stride == (2, 2)


def test_a_neck_learns_no_bias():
    network = build(backbone="tf_efficientnet_lite0")
    assert network.neck.weight.requires_grad and not network.neck.bias.requires_grad
    assert not network.neck.bias.any()


def test_imagenet_weights_that_a_package_carries():
    first, again = (build(backbone="tf_efficientnet_lite0", initial="imagenet", level=4) for _ in range(2))
    assert torch.equal(first.trunk.conv_stem.weight, again.trunk.conv_stem.weight)
    other = build(backbone="tf_efficientnet_lite0", level=4)
    assert not torch.equal(first.trunk.conv_stem.weight, other.trunk.conv_stem.weight)


def test_a_scene_is_the_mean_of_its_frames():
    network = build(backbone="osnet_x0_25")
    scenes = [SceneCrops(3, list(IMAGES), []), SceneCrops(1, [IMAGES[0]], [])]
    choices = {"size": (64, 32), "resize": "bilinear", "device": torch.device("cpu")}
    scene, feature = backbones.embed(scenes, network, **choices)
    with torch.no_grad():
        first, second = network(IMAGES)
    assert scene.tolist() == [1, 3]
    np.testing.assert_allclose(feature[0], first, atol=1e-6)
    np.testing.assert_allclose(feature[1], torch.nn.functional.normalize(first + second, dim=0), atol=1e-6)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"backbone": "resnet_of_mine"}, "backbone: got 'resnet_of_mine', expected osnet_x0_25 or a model of timm"),
        ({"initial": "imagenet"}, "backbone resnet50: its ImageNet weights could not be fetched"),
        ({"initial": "weights.pth"}, "network.initial: got 'weights.pth', expected imagenet, random or a file"),
        ({"backbone": "osnet_x0_25", "initial": "imagenet"}, "osnet_x0_25 has no ImageNet weights"),
        ({"last_stride": 3}, "got last_stride 3"),
        ({"level": 9}, "level 9"),
    ],
)
def test_what_cannot_be_had_is_told(changes, message, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message) as error:
        build(**changes)
    assert "\n" not in str(error.value)


def test_a_file_of_another_network_is_told(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    (tmp_path / "no.pth").write_bytes(b"no weights")
    for name in ("other.pth", "no.pth"):
        with pytest.raises(InputError, match="expected a state dict of osnet_x0_25") as error:
            build(backbone="osnet_x0_25", initial=str(tmp_path / name))
        assert "\n" not in str(error.value)


def test_weights_of_another_network_are_told():
    choices = {"size": (64, 32), "resize": "bilinear", "device": torch.device("cpu")}
    state = build(backbone="osnet_x0_25").state_dict()
    network = PLAIN | {"backbone": "tf_efficientnet_lite0", "level": 3}
    with pytest.raises(InputError, match="give the extractor's entry and its training the same network"):
        backbones.extract([], network=network, state=state, **choices)
