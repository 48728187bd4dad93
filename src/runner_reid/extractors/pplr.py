"""Who somebody is, learned without labels where the whole and its parts agree (Cho et al. 2022, PPLR).

The body is also looked at in horizontal parts. Where a part has other neighbours than the whole, it teaches less.
"""

import numpy as np
import torch
from torch import nn
from torch.nn.functional import adaptive_avg_pool2d, cross_entropy, normalize, one_hot, softplus

from runner_reid import backbones, cameras, clustering, unsupervised
from runner_reid.backbones import Embedder, neck

CROPS = "any"
LEARNED = True
EXAMPLE = backbones.EXAMPLE
EXAMPLE_TRAINING = unsupervised.EXAMPLE | {
    "loss": {
        **{"parts": 3, "neighbours": 3, "own_share": 0.5, "smoothing": 0.1, "smoothed_epochs": 5},
        "camera": cameras.EXAMPLE,
    }
}


class Learner(unsupervised.Learner):
    """The loss of PPLR; outliers are left out.

    parts: horizontal stripes of the map, published 3. neighbours: of whom the whole and a part are compared, 20.
    own_share: share of the cluster's label in the target of the whole, 0.5; the parts give the rest. smoothing: of the
    parts' labels in the first `smoothed_epochs` epochs, 0.1 and 5. camera: of `cameras.CameraProxies.losses`; a weight
    of 0 does without it, as one camera does.

    Classifiers start at each epoch from the centres of its clusters, and have an optimiser of their own for that epoch:
    published, one optimiser carries what it knew of other clusters over.
    """

    def __init__(
        self,
        network: Embedder,
        count: int,
        *,
        parts: int,
        neighbours: int,
        own_share: float,
        smoothing: float,
        smoothed_epochs: int,
        camera: dict,
    ):
        super().__init__(network)
        self.necks = nn.ModuleList(neck(network.map_width) for _ in range(parts))
        self.neighbours, self.own_share = neighbours, own_share
        self.smoothing, self.smoothed_epochs = smoothing, smoothed_epochs
        self.camera = camera

    def look(self, images: np.ndarray) -> list[torch.Tensor]:
        """What the necks say of the whole and of each part, (B, D) each, not normalised."""
        seen = self.network.map(images)
        stripes = adaptive_avg_pool2d(seen, (len(self.necks), 1))[..., 0].float()
        return [self.network.pooled(seen), *(own(stripes[:, :, i]) for i, own in enumerate(self.necks))]

    def describe(self, images: np.ndarray) -> torch.Tensor:
        return torch.cat([normalize(one) for one in self.look(images)], 1)

    def label(
        self, epoch: int, describe: unsupervised.Describe, camera: np.ndarray, clusters: dict
    ) -> tuple[torch.Tensor, np.ndarray]:
        feature = describe()
        return feature, clustering.pseudo_labels(self.apart(feature)[0].cpu().numpy(), camera, **clusters)

    def apart(self, feature: torch.Tensor) -> list[torch.Tensor]:
        """The vectors (N, D) of the whole and of each part, out of what `describe` gives."""
        return list(feature.split([self.network.width, *[self.network.map_width] * len(self.necks)], 1))

    def begin(self, epoch: int, feature: torch.Tensor, label: torch.Tensor, camera: torch.Tensor) -> None:
        whole, *parts = self.apart(feature)
        self.heads = [unsupervised.centres(one, label).requires_grad_() for one in (whole, *parts)]
        found = agreement(*(one.cpu().numpy() for one in (whole, *parts)), neighbours=self.neighbours)
        self.agreement = torch.from_numpy(found).to(feature.device)
        self.proxies = cameras.CameraProxies(whole, label, camera)
        self.smoothed = epoch < self.smoothed_epochs

    def loss(self, batch: unsupervised.Batch) -> torch.Tensor:
        whole, *parts = self.look(batch.views[0])
        logits = [one @ head.T for one, head in zip((whole, *parts), self.heads, strict=True)]
        agreement = self.agreement[batch.row]
        value = self.whole_loss(logits[0], logits[1:], agreement, batch.label) + triplet_loss(whole, batch.label)
        value = value + self.part_loss(logits[1:], agreement, batch.label)
        return value + self.camera_loss(whole, batch) if self.camera["weight"] else value

    def whole_loss(
        self, whole: torch.Tensor, parts: list[torch.Tensor], agreement: torch.Tensor, label: torch.Tensor
    ) -> torch.Tensor:
        """Cross entropy of the whole's logits (B, C) with its label, mixed with what the parts that agree say."""
        said = torch.stack([part.detach().softmax(1) for part in parts], 1)
        ensemble = (agreement.softmax(1)[:, :, None] * said).sum(1)
        target = self.own_share * one_hot(label, whole.shape[1]) + (1 - self.own_share) * ensemble
        return unsupervised.soft_cross_entropy(whole, target).mean()

    def part_loss(self, parts: list[torch.Tensor], agreement: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """The mean over the parts of cross entropy: with smoothed labels, later the smoother, the less they agree."""
        if self.smoothed:
            losses = [cross_entropy(part, label, label_smoothing=self.smoothing) for part in parts]
            return torch.stack(losses).mean()
        losses = []
        for part, weight in zip(parts, agreement.T, strict=True):
            spread = -part.log_softmax(1).mean(1) - np.log(part.shape[1])  # KL(uniform | said)
            losses.append((weight * cross_entropy(part, label, reduction="none") + (1 - weight) * spread).mean())
        return torch.stack(losses).mean()

    def camera_loss(self, whole: torch.Tensor, batch: unsupervised.Batch) -> torch.Tensor:
        """The loss between cameras, the mean over the pictures whose cluster another camera sees."""
        losses, seen = self.proxies.losses(normalize(whole), batch, **self.camera)
        return losses.sum() / seen.sum().clamp(min=1)


def agreement(whole: np.ndarray, *parts: np.ndarray, neighbours: int) -> np.ndarray:
    """How far the neighbours of the whole (N, D) and of each of P parts (N, D) are the same: (N, P) float32 in 0..1.

    The overlap (intersection over union) of the lists of `neighbours` nearest, without itself.
    """
    lists = [clustering.nearest(vectors, neighbours + 1)[:, 1:] for vectors in (whole, *parts)]
    shared = [(lists[0][:, :, None] == own[:, None]).sum((1, 2)) for own in lists[1:]]
    return np.stack([both / np.maximum(2 * lists[0].shape[1] - both, 1) for both in shared], 1).astype(np.float32)


def triplet_loss(feature: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """The soft triplet loss of the farthest of the same label and the nearest of another (Ge et al. 2020, MMT).

    0 for a batch of one label.
    """
    squared = (feature[:, None] - feature[None]).square().sum(2)
    distance = squared.clamp(min=1e-12).sqrt()
    same = label[:, None] == label
    if same.all():
        return feature.sum() * 0
    farthest = distance.masked_fill(~same, -torch.inf).max(1).values
    nearest = distance.masked_fill(same, torch.inf).min(1).values
    return softplus(farthest - nearest).mean()


extract = backbones.extract
train = unsupervised.trainer(Learner)
