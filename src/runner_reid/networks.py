"""What every network needs before it runs: a torchvision that imports, seeds, a device."""

import functools
import importlib.util
import os
import random
from pathlib import Path

import numpy as np
import torch

from runner_reid.errors import InputError, check_choice


def stay_offline() -> None:
    """Keep model libraries from waiting for a network. What the user has set in the environment wins.

    timm retries a download for 45 s without a network; HF_HUB_OFFLINE=0 allows it. The libraries read
    these variables when they are first imported, so call this before.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("YOLO_OFFLINE", "true")
    os.environ.setdefault("YOLO_AUTOINSTALL", "False")


def prepare_torchvision() -> None:
    """Make `import torchvision` (so timm and ultralytics) work beside a CPU build of torch, and stay offline.

    The torchvision wheel on PyPI is a CUDA build; beside CPU torch its native library does not load, and
    `import torchvision` fails with "operator torchvision::nms does not exist". Then this defines the missing
    operator in pure torch. Where the native library loads, or there is no torchvision, nothing changes.
    Calling it again does nothing. torchvision's roi_align and image codecs stay unavailable.
    """
    stay_offline()
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None or _loads_natively(Path(spec.origin).parent):
        return
    _define_nms()
    import torchvision.ops.boxes

    torchvision.ops.boxes._assert_has_ops = _nothing


@functools.cache
def _loads_natively(folder: Path) -> bool:
    libraries = [path for pattern in ("_C*.so", "_C*.pyd") for path in folder.glob(pattern)]
    try:
        for path in libraries:
            torch.ops.load_library(path)
    except OSError:
        return False
    return bool(libraries)


@functools.cache
def _define_nms() -> torch.library.Library:
    """Define torchvision's operators; they live as long as the returned (here: cached) object."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.impl("nms", nms, "CPU")
    return library


def _nothing() -> None:
    """Stand in for torchvision's check that its native library is loaded."""


def nms(boxes_xyxy: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """Non-maximum suppression in pure torch, with the results of torchvision's own.

    boxes_xyxy: (N, 4). scores: (N,). Returns the indices kept, by falling score. A larger `iou_threshold`
    keeps more overlapping boxes.

    >>> boxes = torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10]])
    >>> nms(boxes, torch.tensor([0.8, 0.9, 0.7]), 0.5).tolist()
    [1, 2]
    """
    boxes_xyxy = boxes_xyxy.float()
    areas = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).prod(dim=1)
    waiting = scores.argsort(descending=True, stable=True)
    kept = []
    while len(waiting):
        best, waiting = waiting[0], waiting[1:]
        kept.append(best)
        upper_left = torch.maximum(boxes_xyxy[waiting, :2], boxes_xyxy[best, :2])
        lower_right = torch.minimum(boxes_xyxy[waiting, 2:], boxes_xyxy[best, 2:])
        overlap = (lower_right - upper_left).clamp(min=0).prod(dim=1)
        waiting = waiting[~(overlap / (areas[waiting] + areas[best] - overlap) > iou_threshold)]
    return torch.stack(kept) if kept else torch.empty(0, dtype=torch.int64, device=boxes_xyxy.device)


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and torch, and choose torch's deterministic algorithms.

    On a GPU an operation that has no deterministic form runs with a warning. torch then also fills all new
    memory, which only costs time: off.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 (what libraries draw from)
    torch.manual_seed(seed)
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def choose_device(name: str) -> torch.device:
    """The device called `name`: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1", "mps".

    Raises InputError for a device this machine does not have.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"device: got {name!r}, expected one this machine has ({reason}); set it to auto or cpu"
        ) from error
    return device


def mixed_precision(precision: str, device: str | torch.device, *, name: str = "precision") -> torch.autocast:
    """A context in which networks compute in "float32", as ever, or, where that loses little, in "bfloat16".

    Faster on a GPU and on processors that have bfloat16 (`benchmarks/precision.py`), slower on others. name: of the
    parameter. Raises InputError for another precision.
    """
    check_choice(name, precision, ("float32", "bfloat16"))
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=precision == "bfloat16")


def prepare(*, threads: int) -> str:
    """Make this process ready to run networks on `threads` of the promised cores, and name the device they run on.

    Who starts jobs side by side says in RUNNER_REID_CORES how many cores it counts with. If this machine has fewer,
    each job gets its share: threads of several networks that wait for each other are three times slower.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    promised = max(cores, int(os.environ.get("RUNNER_REID_CORES") or cores))
    torch.set_num_threads(max(1, cores * min(threads, promised) // promised))
    return str(choose_device("auto"))
