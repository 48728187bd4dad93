"""Who somebody is, learned without labels from hard and mean examples of clusters (Hu et al. 2021, HHCL).

Two memories hold a vector per cluster: one follows the mean of a batch's pictures of it, the other the picture that is
least like it. A picture shall find its cluster in both.
"""

import torch
from torch.nn.functional import cross_entropy, normalize

from runner_reid import backbones, unsupervised
from runner_reid.backbones import Embedder
from runner_reid.errors import check_choice

CROPS = "any"
LEARNED = True
EXAMPLE = backbones.EXAMPLE
EXAMPLE_TRAINING = unsupervised.EXAMPLE | {
    "loss": {"momentum": 0.1, "temperature": 0.05, "hard_weight": 0.5, "weighting": "paper"}
}


class Learner(unsupervised.Learner):
    """The loss of HHCL; outliers are left out.

    momentum: what a memory keeps of itself at an update; published 0.1. temperature: of the softmax, 0.05; smaller
    looks at near rivals only. hard_weight: h, the share of the hard memory, 0.5. weighting: "paper": h hard + (1 - h)
    mean; or "code", as published, whose brackets give h (hard + (1 - h) mean), so that the mean counts for less.
    """

    def __init__(
        self,
        network: Embedder,
        count: int,
        *,
        momentum: float,
        temperature: float,
        hard_weight: float,
        weighting: str,
    ):
        super().__init__(network)
        check_choice("loss.weighting", weighting, ("paper", "code"))
        self.momentum, self.temperature = momentum, temperature
        self.hard_weight = hard_weight
        self.mean_weight = (1 - hard_weight) * (hard_weight if weighting == "code" else 1)

    def begin(self, epoch: int, feature: torch.Tensor, label: torch.Tensor, camera: torch.Tensor) -> None:
        self.mean = unsupervised.centres(feature, label)
        self.hard = self.mean.clone()

    def loss(self, batch: unsupervised.Batch) -> torch.Tensor:
        self.seen = self.network(batch.views[0])
        return self.contrast(self.seen, batch.label)

    def contrast(self, feature: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """The loss of vectors (B, D) of length 1 with labels (B,)."""
        hard, mean = (cross_entropy(feature @ memory.T / self.temperature, label) for memory in (self.hard, self.mean))
        return self.hard_weight * hard + self.mean_weight * mean

    def after_step(self, batch: unsupervised.Batch) -> None:
        self.remember(self.seen.detach(), batch.label)

    def remember(self, feature: torch.Tensor, label: torch.Tensor) -> None:
        """Let both memories follow a batch."""
        for number in label.unique().tolist():
            own = feature[label == number]
            hardest = own[(own @ self.hard[number]).argmin()]
            for memory, new in ((self.mean, own.mean(0)), (self.hard, hardest)):
                memory[number] = normalize(self.momentum * memory[number] + (1 - self.momentum) * new, dim=0)


extract = backbones.extract
train = unsupervised.trainer(Learner)
