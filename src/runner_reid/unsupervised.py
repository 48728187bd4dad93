"""The frame of unsupervised re-ID: describe, cluster, learn from the clusters, again. No label is read.

A method (extractors/{hhcl,spcl,ice,pplr}.py) is a `Learner` put into this frame.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from runner_reid import backbones, clustering, networks, training
from runner_reid.augmentation import vary_pictures
from runner_reid.backbones import Embedder
from runner_reid.crops import SceneCrops
from runner_reid.errors import InputError
from runner_reid.pictures import sheet

EXAMPLE = backbones.EXAMPLE | {
    **{"frames_per_scene": 4, "augment": {"flip": 0.5, "pad": 2, "erase": 0.5, "blur": 0.5}},
    **{"clusters": {"k1": 4, "k2": 2, "eps": 0.6, "min_samples": 1, "by_camera": False}},
    **{"batches": {"clusters": 2, "each": 2, "by_camera": False}},
    "precision": {"describe": "float32", "learn": "float32"},
    "schedule": {
        **{"epochs": 1, "iterations": 2, "learning_rate": 1e-3, "weight_decay": 5e-4},
        **{"step": 20, "factor": 0.1, "warm_up": 0, "warm_up_start": 0.0},
    },
}
"""Choices of a small training, for tests; a method adds its `loss`."""

PICTURED_CLUSTERS, PICTURED_MEMBERS = 16, 10

Describe = Callable[[], torch.Tensor]


@dataclass(frozen=True)
class Batch:
    """What one step learns from: rows of the corpus (B,), their label and camera, and a picture of each per view."""

    views: list[np.ndarray]
    row: torch.Tensor
    label: torch.Tensor
    camera: torch.Tensor


class Learner(nn.Module):
    """What a method adds to the frame.

    What must outlive an epoch is a parameter or a buffer, so that a checkpoint holds it; all else is made anew by
    `begin`. VIEWS: which pictures of a row `loss` gets: "strong" (fully varied) or "weak" (flipped and shifted only).
    """

    VIEWS: tuple[str, ...] = ("strong",)
    heads: Sequence[torch.Tensor] = ()
    """What is learned besides, and made anew by `begin`."""

    def __init__(self, network: Embedder):
        super().__init__()
        self.network = network

    def describe(self, images: np.ndarray) -> torch.Tensor:
        """What clustering looks at: a vector of length 1 per picture, (B, D)."""
        return self.network(images)

    def label(
        self, epoch: int, describe: Describe, camera: np.ndarray, clusters: dict
    ) -> tuple[torch.Tensor, np.ndarray]:
        """What `begin` needs of the vectors of all pictures, and their labels (N,): 0..C-1, below 0 is left out.

        describe: gives the vectors (N, D). camera: (N,). clusters: choices of `clustering.pseudo_labels`.
        """
        feature = describe()
        return feature, clustering.pseudo_labels(feature.cpu().numpy(), camera, **clusters)

    def drawn(self, label: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """The labels (N,) that the batches of an epoch are drawn from; below 0 is not drawn."""
        return label

    def begin(self, epoch: int, feature: torch.Tensor, label: torch.Tensor, camera: torch.Tensor) -> None:
        """Make ready for an epoch with these labels (N,) on the device."""
        raise NotImplementedError

    def loss(self, batch: Batch) -> torch.Tensor:
        """What is to be made small."""
        raise NotImplementedError

    def after_step(self, batch: Batch) -> None:
        """What follows a step of the optimiser: memories and teachers."""

    def result(self) -> Embedder:
        """The network that is kept."""
        return self.network


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long and how fast is learned, with Adam.

    epochs: clusterings. iterations: steps between two. weight_decay: as Adam takes it. step, factor: every `step`
    epochs the rate is multiplied by `factor`. warm_up: epochs over which the rate rises in a straight line from
    `warm_up_start` of it; 0 for none.
    """

    epochs: int
    iterations: int
    learning_rate: float
    weight_decay: float
    step: int
    factor: float
    warm_up: int
    warm_up_start: float

    def rate(self, epoch: int) -> float:
        """The share of `learning_rate` used in an epoch."""
        risen = min(1.0, self.warm_up_start + (1 - self.warm_up_start) * epoch / self.warm_up) if self.warm_up else 1.0
        return risen * self.factor ** (epoch // self.step)


Trained = tuple[Embedder, Iterator[dict[str, float]], Callable[[], np.ndarray]]


def trainer(make: Callable[..., Learner]) -> Callable[..., Trained]:
    """The `train` of a method. make: its `Learner`, called with the network, the number of pictures and `loss`."""

    def train(
        scenes: Iterable[SceneCrops],
        *,
        network: dict,
        size: tuple[int, int],
        resize: str,
        frames_per_scene: int,
        augment: dict,
        clusters: dict,
        batches: dict,
        schedule: dict,
        precision: dict,
        loss: dict,
        seed: int,
        device: torch.device,
        checkpoint: Path,
        fingerprint: str,
    ) -> Trained:
        """The network that the method trains, and the history: drawing a row trains one epoch more.

        And a picture of the largest clusters in the end, a row each.

        network: choices of `backbones.build`. size (height, width), resize: of `backbones.resized`.
        frames_per_scene: a longer scene gives this many of its frames, evenly chosen: fewer are quicker to cluster.
        augment: of `augmentation.vary_pictures`. clusters: of `clustering.pseudo_labels`. batches: of `draw_batches`.
        schedule: of `Schedule`. loss: of the method's `Learner`. precision: of `describe`, which clustering looks
        at, and of `learn`: each of `networks.mixed_precision`.
        Rows (see `training.run_epochs`): loss (mean of the epoch), clusters (of two pictures or more), outliers,
        learning_rate. Keeps all pictures in memory at `size`. Raises InputError where there is too little to learn
        from.
        """
        describing, learning = (
            networks.mixed_precision(precision[name], device, name=f"precision.{name}")
            for name in ("describe", "learn")
        )
        plan = Schedule(**schedule)
        images, camera = _read(scenes, size, resize, frames_per_scene)
        if len(images) < batches["clusters"] * batches["each"]:
            raise InputError(
                f"training: got {len(images)} pictures, expected {batches['clusters']} x {batches['each']} or more for "
                "a batch; add a video, or lower batches.clusters or batches.each"
            )
        networks.seed_everything(seed)
        learner = make(backbones.build(**network), len(images), **loss).to(device)
        optimizer = torch.optim.Adam(
            [parameter for parameter in learner.parameters() if parameter.requires_grad],
            lr=plan.learning_rate,
            weight_decay=plan.weight_decay,
        )
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, plan.rate)
        on_device = torch.from_numpy(camera).to(device)

        def describe() -> torch.Tensor:
            learner.eval()
            step = backbones.BATCH
            with torch.no_grad(), describing:
                return torch.cat([learner.describe(images[i : i + step]).float() for i in range(0, len(images), step)])

        def train_epoch(epoch: int) -> dict[str, float]:
            generator = np.random.default_rng(training.epoch_seed(seed, epoch))
            feature, label = learner.label(epoch, describe, camera, clusters)
            sizes = np.bincount(label[label >= 0])
            if len(sizes) < 2:
                raise InputError(
                    f"training: epoch {epoch} found {len(sizes)} clusters in {len(label)} pictures, expected 2 or "
                    "more; "
                    + ("raise clusters.eps or lower clusters.min_samples" if not len(sizes) else "lower clusters.eps")
                )
            labels = torch.from_numpy(label).to(device)
            learner.begin(epoch, feature, labels, on_device)
            learner.train()
            rate, total = optimizer.param_groups[0]["lr"], 0.0
            optimizers = [optimizer]
            if learner.heads:
                optimizers.append(torch.optim.Adam(learner.heads, lr=rate, weight_decay=plan.weight_decay))
            drawn = learner.drawn(label, generator)
            for row in draw_batches(drawn, camera, generator, count=plan.iterations, **batches):
                views = [_view(images[row], generator, view, augment) for view in learner.VIEWS]
                rows = torch.from_numpy(row).to(device)
                batch = Batch(views, rows, labels[rows], on_device[rows])
                with learning:
                    value = learner.loss(batch)
                for each in optimizers:
                    each.zero_grad()
                value.backward()
                for each in optimizers:
                    each.step()
                with torch.no_grad():
                    learner.after_step(batch)
                total += value.item()
            scheduler.step()
            learner.eval()
            kept = int((sizes > 1).sum())
            alone = len(label) - int(sizes[sizes > 1].sum())
            return {"loss": total / plan.iterations, "clusters": kept, "outliers": alone, "learning_rate": rate}

        told: dict = {"network": network, "size": size, "resize": resize, "augment": augment, "clusters": clusters}
        told |= {"batches": batches, "schedule": schedule, "precision": precision, "loss": loss, "seed": seed}
        rows = training.run_epochs(
            learner,
            optimizer,
            scheduler,
            train_epoch=train_epoch,
            epochs=plan.epochs,
            seed=seed,
            checkpoint=checkpoint,
            fingerprint=training.digest(fingerprint, told, images, camera),
        )

        def picture() -> np.ndarray:
            label = learner.label(plan.epochs, describe, camera, clusters)[1]
            largest = np.argsort(-np.bincount(label[label >= 0]), kind="stable")[:PICTURED_CLUSTERS]
            members = [np.flatnonzero(label == number) for number in largest]
            return sheet(
                [list(images[own[:: max(1, len(own) // PICTURED_MEMBERS)][:PICTURED_MEMBERS]]) for own in members]
            )

        return learner.result(), rows, picture

    return train


def draw_batches(
    label: np.ndarray,
    camera: np.ndarray,
    generator: np.random.Generator,
    *,
    count: int,
    clusters: int,
    each: int,
    by_camera: bool,
) -> Iterator[np.ndarray]:
    """`count` batches of clusters * each row numbers: `each` pictures of one label after the other.

    label, camera: (N,); labels below 0 are never drawn. A label's pictures are different ones as long as there are
    enough; a label of one picture gives that one, and the batch is filled with more labels. by_camera: the others are
    drawn from other cameras than the first one's, if there are any.
    """
    members = {int(number): np.flatnonzero(label == number) for number in np.unique(label[label >= 0])}
    numbers = np.array(sorted(members))
    waiting: list[int] = []
    while count:
        for number in generator.permutation(numbers).tolist():
            own = members[number]
            first = int(generator.choice(own))
            others = own[own != first]
            if by_camera and (camera[others] != camera[first]).any():
                others = others[camera[others] != camera[first]]
            waiting.append(first)
            if len(others) and each > 1:
                waiting += generator.choice(others, each - 1, replace=len(others) < each - 1).tolist()
            if count and len(waiting) >= clusters * each:
                yield np.array(waiting[: clusters * each])
                waiting, count = waiting[clusters * each :], count - 1


def centres(feature: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """`clustering.centres` on the device."""
    found = clustering.centres(feature.cpu().numpy(), label.cpu().numpy())
    return torch.from_numpy(found).to(feature.device)


def follow(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """Move the teacher's parameters towards the student's: momentum * teacher + (1 - momentum) * student."""
    for slow, fast in zip(teacher.parameters(), student.parameters(), strict=True):
        slow.lerp_(fast, 1 - momentum)


def soft_cross_entropy(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """-sum(target * log softmax(logits)) per row."""
    return -(target * logits.log_softmax(1)).sum(1)


def _view(images: np.ndarray, generator: np.random.Generator, view: str, augment: dict) -> np.ndarray:
    return vary_pictures(images, generator, **{**augment, **({"erase": 0.0, "blur": 0.0} if view == "weak" else {})})


def _read(
    scenes: Iterable[SceneCrops], size: tuple[int, int], resize: str, frames_per_scene: int
) -> tuple[np.ndarray, np.ndarray]:
    """All pictures (N, H, W, 3), and the camera (N,) of each."""
    images, cameras = [backbones.resized([], size=size, resize=resize)], []
    for scene in scenes:
        count = len(scene.images)
        chosen = np.unique(np.linspace(0, count - 1, min(count, frames_per_scene)).round().astype(int))
        images.append(backbones.resized([scene.images[i] for i in chosen], size=size, resize=resize))
        cameras += [scene.camera] * len(chosen)
    return np.concatenate(images), np.array(cameras, np.int64)
