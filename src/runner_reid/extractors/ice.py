"""Who somebody is, learned without labels by a student from a slower teacher (Chen et al. 2021, ICE).

The centres of the clusters say where a picture belongs; the teacher's view of the rest of the batch sharpens it.
"""

import copy

import numpy as np
import torch
from torch.nn.functional import cross_entropy, kl_div

from runner_reid import backbones, cameras, unsupervised
from runner_reid.backbones import Embedder

CROPS = "any"
LEARNED = True
EXAMPLE = backbones.EXAMPLE
EXAMPLE_TRAINING = unsupervised.EXAMPLE | {
    "loss": {
        **{"teacher_momentum": 0.9, "centre_temperature": 0.5, "smoothing": 0.1, "instance_temperature": 0.1},
        **{"consistency_temperature": 0.4, "consistency_weight": 10.0},
        "camera": cameras.EXAMPLE,
    }
}


class Learner(unsupervised.Learner):
    """The loss of ICE; outliers are left out. The teacher clusters, and is what is kept.

    teacher_momentum: what the teacher keeps of itself at a step; published 0.999, which asks for thousands of steps.
    centre_temperature, smoothing: of the softmax over the centres and its target, 0.5 and 0.1. instance_temperature: of
    the hard instance loss, 0.1. consistency_temperature, consistency_weight: of the agreement with the teacher, 0.4 and
    10. camera: of `cameras.CameraProxies.losses`; a weight of 0 does without it, as one camera does.

    Published, the teacher gets its pictures in another order: batch statistics on one device are the same in any order.
    """

    VIEWS = ("strong", "strong", "weak")

    def __init__(
        self,
        network: Embedder,
        count: int,
        *,
        teacher_momentum: float,
        centre_temperature: float,
        smoothing: float,
        instance_temperature: float,
        consistency_temperature: float,
        consistency_weight: float,
        camera: dict,
    ):
        super().__init__(network)
        self.teacher = copy.deepcopy(network).requires_grad_(False)
        self.teacher_momentum = teacher_momentum
        self.centre_temperature, self.smoothing = centre_temperature, smoothing
        self.instance_temperature = instance_temperature
        self.consistency_temperature, self.consistency_weight = consistency_temperature, consistency_weight
        self.camera = camera

    def describe(self, images: np.ndarray) -> torch.Tensor:
        return self.teacher(images)

    def begin(self, epoch: int, feature: torch.Tensor, label: torch.Tensor, camera: torch.Tensor) -> None:
        self.centres = unsupervised.centres(feature, label)
        self.proxies = cameras.CameraProxies(feature, label, camera)

    def loss(self, batch: unsupervised.Batch) -> torch.Tensor:
        student = self.network(batch.views[0])
        with torch.no_grad():
            strong, weak = self.teacher(batch.views[1]), self.teacher(batch.views[2])
        value = self.centre_loss(student, batch.label) + self.instance_loss(student, strong, batch.label)
        value = value + self.consistency_weight * self.consistency_loss(student, strong, weak)
        return value + self.camera_loss(student, batch) if self.camera["weight"] else value

    def centre_loss(self, student: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Cross entropy over the centres, with a smoothed target."""
        return cross_entropy(student @ self.centres.T / self.centre_temperature, label, label_smoothing=self.smoothing)

    def instance_loss(self, student: torch.Tensor, teacher: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """The least similar of the teacher's pictures of the same label against all those of other labels."""
        alike = student @ teacher.T / self.instance_temperature
        same = label[:, None] == label
        hardest = alike.masked_fill(~same, torch.inf).min(1, keepdim=True).values
        rivals = alike.masked_fill(same, -torch.inf)
        return (torch.cat([hardest, rivals], 1).logsumexp(1) - hardest[:, 0]).mean()

    def consistency_loss(self, student: torch.Tensor, strong: torch.Tensor, weak: torch.Tensor) -> torch.Tensor:
        """How far the student's likenesses within a batch are from the teacher's of weakly varied pictures."""
        found = (student @ strong.T / self.consistency_temperature).log_softmax(1)
        wanted = (weak @ weak.T / self.consistency_temperature).softmax(1)
        return kl_div(found, wanted, reduction="batchmean")

    def camera_loss(self, student: torch.Tensor, batch: unsupervised.Batch) -> torch.Tensor:
        """The loss between cameras: the mean over each camera's pictures, summed over the cameras."""
        losses, _ = self.proxies.losses(student, batch, **self.camera)
        return torch.stack([losses[batch.camera == number].mean() for number in batch.camera.unique()]).sum()

    def after_step(self, batch: unsupervised.Batch) -> None:
        unsupervised.follow(self.teacher, self.network, self.teacher_momentum)

    def result(self) -> Embedder:
        return self.teacher


extract = backbones.extract
train = unsupervised.trainer(Learner)
