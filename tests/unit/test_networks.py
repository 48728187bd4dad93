"""torchvision beside CPU torch, seeds, devices."""

import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from runner_reid import networks
from runner_reid.errors import InputError


def test_timm_imports_and_detects_after_preparing_twice():
    networks.prepare_torchvision()
    networks.prepare_torchvision()
    import timm
    import torchvision

    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10]])
    assert timm.is_model("tf_efficientnet_lite0")
    assert torchvision.ops.nms(boxes, torch.tensor([0.8, 0.9, 0.7]), 0.5).tolist() == [1, 2]


@pytest.mark.parametrize("set_by_user, seen", [(None, "1"), ("0", "0")])
def test_offline_unless_the_user_says_otherwise(monkeypatch, set_by_user, seen):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    if set_by_user:
        monkeypatch.setenv("HF_HUB_OFFLINE", set_by_user)
    networks.stay_offline()
    assert networks.os.environ["HF_HUB_OFFLINE"] == seen


def brute_force(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> list[int]:
    kept = []
    for i in np.argsort(-scores, kind="stable"):
        for j in kept:
            width = max(0.0, min(boxes[i, 2], boxes[j, 2]) - max(boxes[i, 0], boxes[j, 0]))
            height = max(0.0, min(boxes[i, 3], boxes[j, 3]) - max(boxes[i, 1], boxes[j, 1]))
            both = width * height
            areas = [(boxes[k, 2] - boxes[k, 0]) * (boxes[k, 3] - boxes[k, 1]) for k in (i, j)]
            if both / (sum(areas) - both) > threshold:
                break
        else:
            kept.append(i)
    return [int(i) for i in kept]


@pytest.mark.parametrize("case", range(50))
def test_nms_equals_brute_force(case):
    rng = np.random.default_rng(case)
    corner, size = rng.integers(0, 60, (case, 2)), rng.integers(1, 30, (case, 2))
    boxes = np.hstack([corner, corner + size]).astype(np.float32)
    scores = rng.integers(0, 10, case).astype(np.float32)
    found = networks.nms(torch.from_numpy(boxes), torch.from_numpy(scores), 0.4)
    assert found.dtype == torch.int64 and found.tolist() == brute_force(boxes, scores, 0.4)


def test_the_same_seed_draws_the_same():
    def draw():
        networks.seed_everything(7)
        return random.random(), np.random.random(), torch.rand(1).item()  # noqa: NPY002

    assert draw() == draw()


def test_devices():
    assert networks.choose_device("cpu").type == "cpu"
    assert networks.choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["", "gpu", "cuda:99"])
def test_a_device_that_is_not_there_is_named(name):
    with pytest.raises(InputError, match=f"got '{name}'") as error:
        networks.choose_device(name)
    assert "\n" not in str(error.value)


def test_torchvision_imports_in_a_fresh_process():
    code = "from runner_reid import networks; networks.prepare_torchvision(); import timm"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    "cores, promised, threads, share", [(2, "8", 8, 2), (2, "8", 1, 1), (8, "8", 3, 3), (2, "", 8, 2)]
)
def test_a_job_takes_its_share_of_the_cores_and_never_more(monkeypatch, cores, promised, threads, share):
    monkeypatch.setattr(networks.os, "sched_getaffinity", lambda process: set(range(cores)), raising=False)
    monkeypatch.setenv("RUNNER_REID_CORES", promised)
    before = torch.get_num_threads()
    try:
        networks.prepare(threads=threads)
        assert torch.get_num_threads() == share
    finally:
        torch.set_num_threads(before)


def test_a_precision_is_chosen_by_name():
    images, network = torch.rand(1, 3, 8, 8), torch.nn.Conv2d(3, 2, 3)
    with networks.mixed_precision("bfloat16", "cpu"):
        assert network(images).dtype == torch.bfloat16
    with networks.mixed_precision("float32", "cpu"):
        assert network(images).dtype == torch.float32
    with pytest.raises(InputError, match=r"precision\.learn: got 'half'"):
        networks.mixed_precision("half", "cpu", name="precision.learn")
