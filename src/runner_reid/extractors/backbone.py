"""A network as it comes, trained by others (ImageNet, MSMT17) and not by us: what a training of ours starts from."""

from collections.abc import Iterable

import numpy as np

from runner_reid import backbones, networks
from runner_reid.crops import SceneCrops

CROPS = "any"
LEARNED = False
EXAMPLE = backbones.EXAMPLE


def extract(
    scenes: Iterable[SceneCrops], *, network: dict, size: tuple[int, int], resize: str
) -> tuple[np.ndarray, np.ndarray]:
    """The mean of a scene's vectors, of length 1; see `backbones.embed`. D is the backbone's (512 for OSNet).

    network: choices of `backbones.build`; `initial: random` gives the same network every time. size (height, width),
    resize: of `backbones.resized`.
    """
    networks.seed_everything(0)
    model = backbones.build(**network)
    return backbones.embed(scenes, model, size=size, resize=resize, device=networks.choose_device("auto"))
