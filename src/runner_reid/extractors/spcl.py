"""Who somebody is, learned without labels from clusters that are kept only while they hold (Ge et al. 2020, SpCL).

The memory holds a vector of every picture. Clusters that change when neighbours are counted a little more or less
strictly are taken apart again; outliers are classes of their own.
"""

import numpy as np
import torch
from torch.nn.functional import cross_entropy, normalize

from runner_reid import backbones, clustering, unsupervised
from runner_reid.backbones import Embedder

CROPS = "any"
LEARNED = True
EXAMPLE = backbones.EXAMPLE
EXAMPLE_TRAINING = unsupervised.EXAMPLE | {
    "loss": {
        "momentum": 0.2,
        "temperature": 0.05,
        "eps_gap": 0.02,
        "quantile": 0.9,
        "alone_share": 1.0,
        "renew": False,
    }
}


class Learner(unsupervised.Learner):
    """The loss of SpCL; outliers are classes of one picture.

    momentum: what the memory keeps of a vector when it sees the picture again; published 0.2. temperature: of the
    softmax, 0.05. eps_gap: how much stricter and looser the clusters are tried, 0.02. quantile: of the independence of
    the first epoch's clusters, which later ones must not exceed, 0.9; larger trusts more clusters.
    alone_share: of the classes of one picture, how many an epoch draws batches from; published 1. They outnumber
    clusters by far at first: with few steps, a smaller share lets these be seen at all. renew: describe all pictures
    anew before every clustering; published False. The memory alone is as good where an epoch sees all pictures.
    """

    memory: torch.Tensor
    max_independence: torch.Tensor

    def __init__(
        self,
        network: Embedder,
        count: int,
        *,
        momentum: float,
        temperature: float,
        eps_gap: float,
        quantile: float,
        alone_share: float,
        renew: bool,
    ):
        super().__init__(network)
        self.momentum, self.temperature = momentum, temperature
        self.eps_gap, self.quantile = eps_gap, quantile
        self.alone_share, self.renew = alone_share, renew
        self.register_buffer("memory", torch.zeros(count, network.width))
        self.register_buffer("max_independence", torch.tensor(float("nan")))

    def label(
        self, epoch: int, describe: unsupervised.Describe, camera: np.ndarray, clusters: dict
    ) -> tuple[torch.Tensor, np.ndarray]:
        if epoch == 0 or self.renew:
            self.memory.copy_(describe())
        seen = self.memory.cpu().numpy()
        if clusters["by_camera"]:
            seen = clustering.without_cameras(seen, camera)
        distance = clustering.jaccard_distance(
            seen, k1=clusters["k1"], k2=clusters["k2"], limit=clusters["eps"] + self.eps_gap
        )
        usual, tight, loose = (
            alone_apart(clustering.cluster(distance, eps=clusters["eps"] + gap, min_samples=clusters["min_samples"]))
            for gap in (0.0, -self.eps_gap, self.eps_gap)
        )
        if epoch == 0:
            self.max_independence.fill_(independence_limit(usual, loose, self.quantile))
        return self.memory, reliable(usual, tight, loose, self.max_independence.item())

    def drawn(self, label: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        alone = np.bincount(label)[label] == 1
        kept = ~alone | (generator.random(len(label)) < self.alone_share)
        return np.where(kept, label, -1) if kept.any() else label

    def begin(self, epoch: int, feature: torch.Tensor, label: torch.Tensor, camera: torch.Tensor) -> None:
        self.labels = label
        self.sizes = label.bincount()

    def loss(self, batch: unsupervised.Batch) -> torch.Tensor:
        self.seen = self.network(batch.views[0])
        return self.contrast(self.seen, batch.label)

    def contrast(self, feature: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """The loss of vectors (B, D) of length 1 with labels (B,): a class is as similar as its members on average."""
        alike = feature @ self.memory.T / self.temperature
        summed = alike.new_zeros(len(feature), len(self.sizes)).index_add(1, self.labels, alike)
        return cross_entropy(summed / self.sizes, label)

    def after_step(self, batch: unsupervised.Batch) -> None:
        for row, feature in zip(batch.row.tolist(), self.seen.detach(), strict=True):
            mixed = self.momentum * self.memory[row] + (1 - self.momentum) * feature
            self.memory[row] = normalize(mixed, dim=0)


def alone_apart(label: np.ndarray) -> np.ndarray:
    """Labels (N,) in which every outlier (-1) has a number of its own, after those of the clusters.

    >>> alone_apart(np.array([0, -1, 0, -1])).tolist()
    [0, 1, 0, 2]
    """
    alone = label < 0
    apart = label.copy()
    apart[alone] = label.max(initial=-1) + 1 + np.arange(alone.sum())
    return apart


def change(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Per picture, 1 - the overlap (intersection over union) of its clusters in two labellings (N,).

    >>> change(np.array([0, 0, 1]), np.array([0, 1, 1])).tolist()
    [0.5, 0.6666666666666667, 0.5]
    """
    both, pair, shared = np.unique(np.stack([one, other], 1), axis=0, return_inverse=True, return_counts=True)
    size = np.bincount(one)[both[:, 0]] + np.bincount(other)[both[:, 1]]
    return (1 - shared / (size - shared))[pair.ravel()]


def independence_limit(usual: np.ndarray, loose: np.ndarray, quantile: float) -> float:
    """The independence (least change of a member, when looser) that the share `quantile` of the clusters stays below.

    Clusters of one picture do not count; without others the limit is 0.
    """
    independence = np.sort(_least(usual, change(usual, loose))[np.bincount(usual) > 1])
    return (
        float(independence[min(len(independence) - 1, round(len(independence) * quantile))])
        if independence.size
        else 0.0
    )


def reliable(usual: np.ndarray, tight: np.ndarray, loose: np.ndarray, max_independence: float) -> np.ndarray:
    """The labels `usual` (N,) with who is not surely in his cluster made a class of his own.

    Whoever is in a cluster that a looser view changes by more than `max_independence`, and whoever's cluster changes
    more by a tighter view than that of the surest member.
    """
    compactness = change(usual, tight)
    independent = _least(usual, change(usual, loose))[usual] <= max_independence
    kept = independent & (compactness <= _least(usual, compactness)[usual])
    label = np.where(kept, usual, -1)
    label[kept] = np.unique(label[kept], return_inverse=True)[1]
    return alone_apart(label)


def _least(label: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The smallest value of each label's members."""
    least = np.full(int(label.max(initial=-1)) + 1, np.inf)
    np.minimum.at(least, label, value)
    return least


extract = backbones.extract
train = unsupervised.trainer(Learner)
