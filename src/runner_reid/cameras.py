"""The loss between cameras that ICE and PPLR share (Wang et al. 2021, CAP)."""

import torch

from runner_reid import unsupervised

EXAMPLE = {"weight": 0.5, "temperature": 0.07, "negatives": 50}
"""Choices as published."""


class CameraProxies:
    """The mean of every cluster as each camera sees it, and the loss that draws them together.

    Only sets with several cameras have pairs to draw; otherwise every loss is 0.
    """

    def __init__(self, feature: torch.Tensor, label: torch.Tensor, camera: torch.Tensor):
        pair = torch.stack([label, camera.to(label.dtype)], 1)
        known, number = torch.unique(pair[label >= 0], dim=0, return_inverse=True)
        self.label, self.camera = known[:, 0], known[:, 1]
        self.centre = unsupervised.centres(feature[label >= 0], number)

    def losses(
        self, feature: torch.Tensor, batch: unsupervised.Batch, *, weight: float, temperature: float, negatives: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Per row of `feature` (B, D) of a batch its loss, and whether another camera sees its cluster; both (B,).

        The loss is the cross entropy of a softmax over the proxies of its own cluster by other cameras (sharing the
        target) and the `negatives` most similar of other clusters, times `weight`.
        """
        alike = feature @ self.centre.T / temperature
        own = batch.label[:, None] == self.label
        wanted = own & (batch.camera[:, None] != self.camera)
        nearest = alike.detach().masked_fill(own, -torch.inf).topk(min(negatives, alike.shape[1]), dim=1).indices
        kept = wanted.scatter(1, nearest, True) & (wanted | ~own)
        seen = wanted.any(1)
        target = wanted / wanted.sum(1, keepdim=True).clamp(min=1)
        logits = alike.masked_fill(~kept, -1e4)
        return weight * unsupervised.soft_cross_entropy(logits, target) * seen, seen
