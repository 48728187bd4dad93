"""How somebody runs and looks: a recurrent auto-encoder over the frames of a scene (S0, "GRU AE").

The encoder reads a scene in order of time; the decoder reads it backwards, starting from the encoder's last
state, and predicts each frame from those after it. That last state is the feature.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence

from runner_reid import networks, training
from runner_reid.crops import SceneCrops
from runner_reid.errors import InputError, check_choice
from runner_reid.extractors import by_scene
from runner_reid.pictures import sheet

CROPS = "person"
LEARNED = True
EXAMPLE = {"min_frames": 6, "initial_state": "zero"}
EXAMPLE_TRAINING = {
    **EXAMPLE,
    **{"epochs": 1, "batch": 4, "learning_rate": 1e-3, "schedule": "constant", "precision": "float32"},
    **{"validation_share": 0.2},
}

SIDE = 64
"""Height and width of a frame in the network, in pixels."""
WIDTH = 128
"""Numbers in a feature."""
PICTURED_SCENES, PICTURED_FRAMES = 4, 10


class Encoder(nn.Module):
    """What turns a scene into its feature: the frame encoder and a GRU over its codes.

    min_frames: shorter scenes are preceded by black frames up to this length, longer ones by none. So what a
    scene gives does not depend on the others of its batch; as published, a batch with a longer scene pads all
    to that one. The black frame is encoded once per batch, and batch statistics see it once; as published
    they see every padding frame. initial_state: of the GRU, "zero", or, as published, "normal".
    """

    def __init__(self, *, min_frames: int, initial_state: str):
        super().__init__()
        check_choice("initial_state", initial_state, ("zero", "normal"))
        self.min_frames, self.initial_state = min_frames, initial_state
        layers: list[nn.Module] = []
        for before, after, stride in ((3, 32, 1), (32, 64, 2), (64, 128, 2), (128, 256, 2), (256, 512, 2)):
            layers += [
                nn.Conv2d(before, after, 3, stride, 1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(inplace=True),
            ]
        del layers[-2]
        self.frames = nn.Sequential(*layers, nn.Flatten(), nn.Linear(512 * 4 * 4, WIDTH))
        self.gru = nn.GRU(WIDTH, WIDTH)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(
        self, scenes: list[np.ndarray], *, generator: torch.Generator | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
        """The pixels, and what the encoder makes of them.

        scenes: B arrays (T, 64, 64, 3) uint8. Returns frames (sum of T, 3, 64, 64) in 0..1, the feature
        (B, 128) of each scene, and its frames' codes (T, 128). generator: of the "normal" initial state.
        """
        black = np.zeros((1, SIDE, SIDE, 3), np.uint8)
        device = next(self.parameters()).device
        pixels = torch.from_numpy(np.concatenate([*scenes, black])).to(device).permute(0, 3, 1, 2) / 255
        *codes, padding = self.frames(pixels).split([*map(len, scenes), 1])
        padded = [torch.cat([padding.expand(max(0, self.min_frames - len(code)), WIDTH), code]) for code in codes]
        shape = (1, len(scenes), WIDTH)
        zero = self.initial_state == "zero"
        initial = torch.zeros(shape) if zero else torch.randn(shape, generator=generator)
        feature = self.gru(pack_sequence(padded, enforce_sorted=False), initial.to(device))[1][0]
        return pixels[:-1], feature, codes


class AutoEncoder(nn.Module):
    """The network of S0: the encoder, and a second GRU with an image decoder that learn it its trade."""

    def __init__(self, *, min_frames: int, initial_state: str):
        super().__init__()
        self.encoder = Encoder(min_frames=min_frames, initial_state=initial_state)
        self.gru = nn.GRU(WIDTH, WIDTH)
        layers: list[nn.Module] = [nn.Linear(WIDTH, 512 * 4 * 4), nn.Unflatten(1, (512, 4, 4))]
        for before, after in ((512, 256), (256, 128), (128, 64), (64, 32)):
            layers += [
                nn.ConvTranspose2d(before, after, 3, 2, 1, 1),
                nn.BatchNorm2d(after),
                nn.ReLU(inplace=True),
            ]
        self.images = nn.Sequential(*layers, nn.Conv2d(32, 3, 3, 1, 1), nn.Sigmoid())
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def errors(self, scenes: list[np.ndarray]) -> tuple[torch.Tensor, int]:
        """The summed squared error of all frames predicted, and how many values they hold. Needs T >= 2.

        Frame t is predicted from the true frames after it (teacher forcing), in reversed order of time.
        """
        pixels, feature, codes = self.encoder(scenes)
        inputs = pack_sequence([code.flip(0)[:-1] for code in codes], enforce_sorted=False)
        numbers = torch.arange(len(pixels), device=pixels.device).split([*map(len, scenes)])
        targets = pack_sequence([number.flip(0)[1:] for number in numbers], enforce_sorted=False)
        wanted = pixels[targets.data]
        predicted = self.images(self.gru(inputs, feature[None])[0].data)
        return (predicted - wanted).square().sum(), wanted.numel()

    @torch.no_grad()
    def predictions(self, scene: np.ndarray) -> np.ndarray:
        """All frames of a scene (T, 64, 64, 3) uint8 but the last, each as predicted from those after it."""
        _, feature, (codes,) = self.encoder([scene])
        predicted = self.images(self.gru(codes.flip(0)[:-1], feature)[0]).flip(0)
        return (255 * predicted).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def extract(
    scenes: Iterable[SceneCrops],
    *,
    min_frames: int,
    initial_state: str,
    state: dict[str, torch.Tensor],
    device: torch.device,
) -> tuple[np.ndarray, np.ndarray]:
    """The encoder's last state per scene. D = 128.

    min_frames, initial_state: see `Encoder`; "normal" is drawn from the scene's number, so it repeats (as
    published it differs from run to run). state: what `train` made.
    """
    encoder = Encoder(min_frames=min_frames, initial_state=initial_state)
    encoder.load_state_dict(state)
    encoder.eval().to(device)
    features = {}
    with torch.inference_mode():
        for scene in scenes:
            generator = torch.Generator().manual_seed(scene.scene)
            features[scene.scene] = encoder([frames_of(scene)], generator=generator)[1][0].cpu().numpy()
    return by_scene(features, width=WIDTH)


def frames_of(scene: SceneCrops) -> np.ndarray:
    """The crops of a scene as (T, 64, 64, 3) uint8; the aspect ratio is not kept."""
    return np.stack([cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for image in scene.images])


def train(
    scenes: Iterable[SceneCrops],
    *,
    min_frames: int,
    initial_state: str,
    epochs: int,
    batch: int,
    learning_rate: float,
    schedule: str,
    precision: str,
    validation_share: float,
    seed: int,
    device: torch.device,
    checkpoint: Path,
    fingerprint: str,
) -> tuple[Encoder, Iterator[dict[str, float]], Callable[[], np.ndarray]]:
    """The encoder of an `AutoEncoder`, and the history: drawing a row (`training.run_epochs`) trains one epoch more.

    And a picture of scenes that were held back: a row of frames, and below it the same as predicted.

    Adam on the mean squared error per value; a random `validation_share` of the scenes is held back. Rows:
    train_loss, validation_loss, learning_rate (at the end of the epoch). Scenes of one frame teach nothing
    and are left out. Keeps 12 KB per frame in memory, and while learning about 6 MB per frame of a batch.
    schedule: see `rate`. precision: of `networks.mixed_precision`. Published: min_frames 47, normal, 500 epochs,
    batch 32, 1e-3, published, float32, 0.2.
    Raises InputError for an unknown schedule or precision, or fewer than two scenes.
    """
    mixed = networks.mixed_precision(precision, device)
    data = [frames for frames in map(frames_of, scenes) if len(frames) > 1]
    if len(data) < 2:
        raise InputError(
            f"gru_ae: expected two scenes of two frames or more to learn from, got {len(data)}; add a video"
        )
    order = np.random.default_rng(seed).permutation(len(data))
    held = min(len(data) - 1, max(1, round(len(data) * validation_share)))
    validation, trained = order[:held], order[held:]
    steps = epochs * math.ceil(len(trained) / batch)
    rate(schedule, 0, steps)
    networks.seed_everything(seed)
    model = AutoEncoder(min_frames=min_frames, initial_state=initial_state).to(device)
    optimizer = torch.optim.Adam(model.parameters(), learning_rate)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(schedule, step, steps))

    def train_epoch(epoch: int) -> dict[str, float]:
        shuffled = np.random.default_rng(training.epoch_seed(seed, epoch)).permutation(trained)
        model.train()
        total, values = 0.0, 0
        for part in _parts(shuffled, batch):
            with mixed:
                error, count = model.errors([data[i] for i in part])
            optimizer.zero_grad()
            (error / count).backward()
            optimizer.step()
            scheduler.step()
            total, values = total + error.item(), values + count
        model.eval()
        with torch.no_grad():
            errors = [model.errors([data[i] for i in part]) for part in _parts(validation, batch)]
        return {
            "train_loss": total / values,
            "validation_loss": sum(error.item() for error, _ in errors) / sum(count for _, count in errors),
            "learning_rate": optimizer.param_groups[0]["lr"],
        }

    choices = [min_frames, initial_state, epochs, batch, learning_rate, schedule, precision, validation_share, seed]
    rows = training.run_epochs(
        model,
        optimizer,
        scheduler,
        train_epoch=train_epoch,
        epochs=epochs,
        seed=seed,
        checkpoint=checkpoint,
        fingerprint=training.digest(fingerprint, choices, *data),
    )
    return model.encoder, rows, lambda: _predicted_scenes(model, [data[i] for i in validation[:PICTURED_SCENES]])


def _predicted_scenes(model: AutoEncoder, scenes: list[np.ndarray]) -> np.ndarray:
    model.eval()
    rows = []
    for frames in scenes:
        shown = np.unique(np.linspace(0, len(frames) - 2, PICTURED_FRAMES).round().astype(int))
        rows += [list(frames[shown]), list(model.predictions(frames)[shown])]
    return sheet(rows)


def rate(schedule: str, step: int, steps: int) -> float:
    """The share of the learning rate used at a step (batch) of `steps`.

    "constant"; "cosine" falls to 0 at the end; "published" falls to a tenth after 20 batches (meant for
    epochs, but stepped once per batch).

    >>> [rate("cosine", step, 2) for step in (0, 1, 2)], [rate("published", step, 100) for step in (19, 20)]
    ([1.0, 0.5, 0.0], [1.0, 0.1])
    """
    check_choice("schedule", schedule, ("constant", "cosine", "published"))
    if schedule == "cosine":
        return (1 + round(math.cos(math.pi * step / max(steps, 1)), 12)) / 2
    return 0.1 if schedule == "published" and step >= 20 else 1.0


def _parts(numbers: np.ndarray, batch: int) -> list[np.ndarray]:
    return [numbers[i : i + batch] for i in range(0, len(numbers), batch)]
