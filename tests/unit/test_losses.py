"""The losses of unsupervised re-ID against slow references, written from the formulas: same batch, same memory."""

import math

import numpy as np
import pytest
import torch

from runner_reid import backbones, cameras, unsupervised
from runner_reid.extractors import hhcl, ice, pplr, spcl

WIDTH, COUNT, BATCH, CLASSES = 8, 24, 10, 4


def unit(*shape: int, seed: int) -> torch.Tensor:
    values = torch.from_numpy(np.random.default_rng(seed).normal(size=shape).astype(np.float32))
    return torch.nn.functional.normalize(values, dim=-1)


def rows(size: int = BATCH, seed: int = 3) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).choice(COUNT, size, replace=False))


FEATURE = unit(COUNT, WIDTH, seed=1)
LABEL = torch.arange(COUNT) % CLASSES
CAMERA = torch.arange(COUNT) // 8
ROW = rows()
NEW = unit(BATCH, WIDTH, seed=2)


def batch() -> unsupervised.Batch:
    return unsupervised.Batch([], ROW, LABEL[ROW], CAMERA[ROW])


def learner(method, **changes):
    network = backbones.build(**backbones.EXAMPLE["network"])
    network.width = WIDTH
    return method.Learner(network, COUNT, **method.EXAMPLE_TRAINING["loss"] | changes)


def softmax_loss(alike: list[float], wanted: list[float]) -> float:
    """-sum wanted * log softmax(alike), in double precision."""
    total = math.log(sum(math.exp(value - max(alike)) for value in alike)) + max(alike)
    return -sum(share * (value - total) for share, value in zip(wanted, alike, strict=True))


def one_hot(place: int, count: int, smoothing: float = 0.0) -> list[float]:
    return [smoothing / count + (1 - smoothing) * (i == place) for i in range(count)]


def dot(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(one.double() @ other.double())


def normalised(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def mean_of(label: int) -> torch.Tensor:
    own = [FEATURE[i].double().numpy() for i in range(COUNT) if LABEL[i] == label]
    return torch.from_numpy(normalised(np.mean(own, axis=0)))


@pytest.mark.parametrize("weighting, hard_share, mean_share", [("paper", 0.3, 0.7), ("code", 0.3, 0.21)])
def test_hhcl(weighting, hard_share, mean_share):
    model = learner(hhcl, hard_weight=0.3, weighting=weighting)
    model.begin(0, FEATURE, LABEL, CAMERA)
    mean = {c: mean_of(c).numpy() for c in range(CLASSES)}
    hard = dict(mean)
    for step in range(2):
        seen = unit(BATCH, WIDTH, seed=10 + step)
        expected = 0.0
        for feature, label in zip(seen, LABEL[ROW].tolist(), strict=True):
            for memory, share in ((hard, hard_share), (mean, mean_share)):
                alike = [float(feature.double().numpy() @ memory[c]) / 0.05 for c in range(CLASSES)]
                expected += share * softmax_loss(alike, one_hot(label, CLASSES)) / BATCH
        assert model.contrast(seen, LABEL[ROW]).item() == pytest.approx(expected, abs=1e-5, rel=1e-5)
        model.remember(seen, LABEL[ROW])
        for c in range(CLASSES):
            own = [one.double().numpy() for one, label in zip(seen, LABEL[ROW].tolist(), strict=True) if label == c]
            if own:
                mean[c] = normalised(0.1 * mean[c] + 0.9 * np.mean(own, axis=0))
                hard[c] = normalised(0.1 * hard[c] + 0.9 * min(own, key=lambda one: one @ hard[c]))
    np.testing.assert_allclose(model.mean.numpy(), [mean[c] for c in range(CLASSES)], atol=1e-5)
    np.testing.assert_allclose(model.hard.numpy(), [hard[c] for c in range(CLASSES)], atol=1e-5)


def test_spcl():
    model = learner(spcl)
    alone = LABEL.clone()
    alone[-2:] = torch.tensor([CLASSES, CLASSES + 1])  # two outliers
    model.memory.copy_(FEATURE)
    model.begin(0, model.memory, alone, CAMERA)
    expected = 0.0
    for feature, row in zip(NEW, ROW.tolist(), strict=True):
        alike = []
        for c in range(CLASSES + 2):
            members = [dot(feature, FEATURE[i]) / 0.05 for i in range(COUNT) if alone[i] == c]
            alike.append(sum(members) / len(members))
        expected += softmax_loss(alike, one_hot(int(alone[row]), CLASSES + 2)) / BATCH
    assert model.contrast(NEW, alone[ROW]).item() == pytest.approx(expected, abs=1e-5, rel=1e-5)
    model.seen = NEW
    model.after_step(batch())
    for feature, row in zip(NEW, ROW.tolist(), strict=True):
        mixed = normalised(0.2 * FEATURE[row].double().numpy() + 0.8 * feature.double().numpy())
        np.testing.assert_allclose(model.memory[row].numpy(), mixed, atol=1e-5)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_spcl_draws_a_share_of_the_classes_of_one_picture_and_all_others(share):
    label = np.r_[np.repeat(np.arange(10), 4), np.arange(10, 4010)]
    drawn = learner(spcl, alone_share=share).drawn(label, np.random.default_rng(0))
    assert (drawn[:40] == label[:40]).all() and set(drawn[40:]) <= {-1, *label[40:]}
    assert (drawn[40:] >= 0).mean() == pytest.approx(share, abs=0.03)


def test_spcl_draws_from_classes_of_one_picture_where_there_are_no_others():
    assert learner(spcl, alone_share=0.0).drawn(np.arange(5), np.random.default_rng(0)).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("renew, seen", [(False, [True, False]), (True, [True, True])])
def test_spcl_looks_at_its_memory_or_at_the_pictures_anew(renew, seen):
    model = learner(spcl, renew=renew)
    clusters = {"k1": 4, "k2": 2, "eps": 0.5, "min_samples": 2, "by_camera": False}
    for epoch, asked in enumerate(seen):
        described = unit(COUNT, WIDTH, seed=10 + epoch)
        model.label(epoch, lambda described=described: described, CAMERA.numpy(), clusters)
        assert torch.equal(model.memory, described) == asked


def test_spcl_keeps_who_is_surely_together():
    """Against sets: IoU with a tighter and a looser labelling, least over the members, 90th percentile of the first."""
    rng = np.random.default_rng(5)
    usual = np.concatenate([np.repeat(np.arange(12), 5), np.arange(12, 20)])
    tight, loose = usual.copy(), usual.copy()
    moved = rng.choice(60, 12, replace=False)
    tight[moved] = 100 + np.arange(12)
    loose[usual == 3] = 4
    loose[usual == 7] = 8
    loose[61:64] = 9

    def members(label, i):
        return {j for j in range(len(label)) if label[j] == label[i]}

    def change(one, other, i):
        return 1 - len(members(one, i) & members(other, i)) / len(members(one, i) | members(other, i))

    count = len(usual)
    independence = {c: min(change(usual, loose, i) for i in range(count) if usual[i] == c) for c in range(20)}
    compactness = {c: min(change(usual, tight, i) for i in range(count) if usual[i] == c) for c in range(20)}
    several = sorted(independence[c] for c in range(12))
    limit = several[min(11, round(12 * 0.9))]
    assert spcl.independence_limit(usual, loose, 0.9) == pytest.approx(limit)
    found = spcl.reliable(usual, tight, loose, several[6])
    for i in range(count):
        kept = independence[usual[i]] <= several[6] and change(usual, tight, i) <= compactness[usual[i]]
        expected = {
            j
            for j in members(usual, i)
            if independence[usual[j]] <= several[6] and change(usual, tight, j) <= compactness[usual[j]]
        }
        assert members(found, i) == (expected if kept else {i})
    assert sorted(set(found.tolist())) == list(range(len(set(found.tolist()))))
    assert 0 < (np.bincount(found) > 1).sum() < 12


def test_ice():
    model = learner(ice)
    model.begin(0, FEATURE, LABEL, CAMERA)
    strong, weak = unit(BATCH, WIDTH, seed=6), unit(BATCH, WIDTH, seed=7)
    own = LABEL[ROW].tolist()
    centre = instance = consistency = 0.0
    for i in range(BATCH):
        alike = [dot(NEW[i], mean_of(c)) / 0.5 for c in range(CLASSES)]
        centre += softmax_loss(alike, one_hot(own[i], CLASSES, 0.1)) / BATCH
        positives = [dot(NEW[i], strong[j]) / 0.1 for j in range(BATCH) if own[j] == own[i]]
        negatives = [dot(NEW[i], strong[j]) / 0.1 for j in range(BATCH) if own[j] != own[i]]
        instance += softmax_loss([min(positives), *negatives], one_hot(0, 1 + len(negatives))) / BATCH
        found = [dot(NEW[i], strong[j]) / 0.4 for j in range(BATCH)]
        wanted = np.exp([dot(weak[i], weak[j]) / 0.4 for j in range(BATCH)])
        wanted /= wanted.sum()
        consistency += (float((wanted * np.log(wanted)).sum()) + softmax_loss(found, wanted.tolist())) / BATCH
    assert model.centre_loss(NEW, LABEL[ROW]).item() == pytest.approx(centre, abs=1e-5)
    assert model.instance_loss(NEW, strong, LABEL[ROW]).item() == pytest.approx(instance, abs=1e-5)
    assert model.consistency_loss(NEW, strong, weak).item() == pytest.approx(consistency, abs=1e-5)
    camera = 0.0
    losses = camera_losses(NEW, negatives=50)
    for number in set(CAMERA[ROW].tolist()):
        seen = [losses[i] or 0.0 for i in range(BATCH) if CAMERA[ROW][i] == number]
        camera += 0.5 * sum(seen) / len(seen)
    assert model.camera_loss(NEW, batch()).item() == pytest.approx(camera, abs=1e-5, rel=1e-5)


def camera_losses(feature: torch.Tensor, *, negatives: int) -> list[float | None]:
    """Per row of the batch the loss between cameras, None where no other camera sees its cluster."""
    proxies = {}
    for c in range(CLASSES):
        for number in range(3):
            own = [FEATURE[i].double().numpy() for i in range(COUNT) if LABEL[i] == c and CAMERA[i] == number]
            if own:
                proxies[c, number] = torch.from_numpy(normalised(np.mean(own, axis=0)))
    losses: list[float | None] = []
    for i, row in enumerate(ROW.tolist()):
        label, camera = int(LABEL[row]), int(CAMERA[row])
        alike = {key: dot(feature[i], centre) / 0.07 for key, centre in proxies.items()}
        wanted = [alike[key] for key in alike if key[0] == label and key[1] != camera]
        rivals = sorted((alike[key] for key in alike if key[0] != label), reverse=True)[:negatives]
        share = [1 / len(wanted)] * len(wanted) + [0.0] * len(rivals) if wanted else []
        losses.append(softmax_loss([*wanted, *rivals], share) if wanted else None)
    return losses


@pytest.mark.parametrize("negatives", [2, 5, 50])
def test_the_loss_between_cameras(negatives):
    proxies = cameras.CameraProxies(FEATURE, LABEL, CAMERA)
    found, seen = proxies.losses(NEW, batch(), weight=1.0, temperature=0.07, negatives=negatives)
    expected = camera_losses(NEW, negatives=negatives)
    assert seen.tolist() == [value is not None for value in expected]
    assert found.tolist() == pytest.approx([value or 0.0 for value in expected], abs=1e-5, rel=1e-5)


def test_one_camera_has_no_loss_between_cameras():
    proxies = cameras.CameraProxies(FEATURE, LABEL, torch.zeros_like(CAMERA))
    alone = unsupervised.Batch([], ROW, LABEL[ROW], torch.zeros_like(ROW))
    found, seen = proxies.losses(NEW, alone, weight=1.0, temperature=0.07, negatives=50)
    assert not seen.any() and found.abs().sum() == 0


@pytest.mark.parametrize("smoothed", [True, False])
def test_pplr(smoothed):
    model = learner(pplr)
    model.smoothed = smoothed
    rng = np.random.default_rng(8)
    logits = [torch.from_numpy(rng.normal(size=(BATCH, CLASSES)).astype(np.float32)) for _ in range(4)]
    agree = torch.from_numpy(rng.random((BATCH, 3)).astype(np.float32))
    own = LABEL[ROW].tolist()
    whole = parts = 0.0
    for i in range(BATCH):
        weight = np.exp(agree[i].double().numpy())
        weight /= weight.sum()
        said = [np.exp(part[i].double().numpy()) / np.exp(part[i].double().numpy()).sum() for part in logits[1:]]
        ensemble = sum(share * one for share, one in zip(weight, said, strict=True))
        target = 0.5 * np.array(one_hot(own[i], CLASSES)) + 0.5 * ensemble
        whole += softmax_loss(logits[0][i].tolist(), target.tolist()) / BATCH
        for p, part in enumerate(logits[1:]):
            values = part[i].tolist()
            if smoothed:
                parts += softmax_loss(values, one_hot(own[i], CLASSES, 0.1)) / BATCH / 3
            else:
                uniform = sum(math.log(1 / CLASSES / q) / CLASSES for q in said[p])
                share = float(agree[i, p])
                exact = softmax_loss(values, one_hot(own[i], CLASSES))
                parts += (share * exact + (1 - share) * uniform) / BATCH / 3
    assert model.whole_loss(logits[0], logits[1:], agree, LABEL[ROW]).item() == pytest.approx(whole, abs=1e-5)
    assert model.part_loss(logits[1:], agree, LABEL[ROW]).item() == pytest.approx(parts, abs=1e-5)


def test_pplr_triplets():
    feature = 3 * unit(BATCH, WIDTH, seed=9)
    own = LABEL[ROW].tolist()
    expected = 0.0
    for i in range(BATCH):
        far = [math.dist(feature[i].tolist(), feature[j].tolist()) for j in range(BATCH)]
        positive = max(far[j] for j in range(BATCH) if own[j] == own[i])
        negative = min(far[j] for j in range(BATCH) if own[j] != own[i])
        expected += -math.log(math.exp(negative) / (math.exp(negative) + math.exp(positive))) / BATCH
    assert pplr.triplet_loss(feature, LABEL[ROW]).item() == pytest.approx(expected, abs=1e-5)
    assert pplr.triplet_loss(feature, torch.zeros_like(ROW)).item() == 0


def test_pplr_agreement():
    whole, part = FEATURE.numpy(), unit(COUNT, WIDTH, seed=11).numpy()

    def neighbours(vectors, i):
        order = sorted(range(COUNT), key=lambda j: (-float(vectors[i] @ vectors[j]), j))
        return set([j for j in order if j != i][:5])

    found = pplr.agreement(whole, part, whole, neighbours=5)
    for i in range(COUNT):
        one, other = neighbours(whole, i), neighbours(part, i)
        assert found[i].tolist() == pytest.approx([len(one & other) / len(one | other), 1.0])
