"""What is recorded of an evaluation or a training: plain JSON, made of files, so that making one needs no server."""

import math
import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from runner_reid.provenance import digest
from runner_reid.results import figures

Points = list[tuple[int, float]]
"""The values of one metric: (step, value)."""


def evaluation_record(result: dict, *, params: dict, condition: str, texts: dict[str, str], tags: dict) -> dict:
    """An evaluation as a record: a run for the video, and one below it for each system.

    result: what `results/eval_{video}.json` holds. params: all choices; left out if the result was made with others.
    texts: files to keep with the run, by name. tags: further facts. The same result with the same provenance is the
    same record, however long it took to make.
    """
    provenance = result["provenance"]
    known = digest(params) == provenance["params_sha256"]
    seconds = provenance.get("seconds", {})
    timeless = {name: value for name, value in provenance.items() if name != "seconds"}
    scores = figures(result)
    systems = scores.pop("systems")
    shared = {
        "video": result["video"],
        "condition": condition,
        **tags,
        **{f"weights.{name}": sha256 for name, sha256 in provenance.get("weights", {}).items()},
        "params_sha256": provenance["params_sha256"],
        "params_known": str(known).lower(),
        "code": provenance["code"],
    }
    return {
        "key": digest({**result, "provenance": timeless}),
        "run": {
            "name": result["video"],
            "tags": {"kind": "evaluation", **shared},
            "params": flatten(params) if known else {},
            "metrics": _single({**scores, "seconds": seconds}),
        },
        "children": [
            {
                "name": f"{result['video']} {system}",
                "tags": {"kind": "system", "system": system, "protocol": "paper, strict", **shared},
                "params": {"system": system, **(flatten(params["systems"].get(system, {})) if known else {})},
                "metrics": {**_single(values), **_cmc(values)},
            }
            for system, values in systems.items()
        ],
        "texts": texts,
    }


def training_record(
    card: dict,
    history: list[dict],
    *,
    corpus: str,
    machine: dict[str, float],
    texts: dict[str, str],
    tags: dict,
    weights: str,
    choices: dict,
) -> dict:
    """A training as a record: one run with a curve for each column of its history, and the model it made.

    card: of its weights. history: a row per epoch, with `epoch`. corpus: a condition, or `all`. machine: what it cost,
    by name. weights: their path. choices: what the network is called with. Others as above.
    """
    curves = {
        name: [(int(row["epoch"]), float(row[name])) for row in history if _is_number(row[name])]
        for name in (history[0] if history else {})
        if name != "epoch"
    }
    made_with = {f"made_with.{name}": version for name, version in card.get("created_with", {}).items()}
    return {
        "key": digest(card),
        "run": {
            "name": f"{card['name']}@{corpus}",
            "tags": {
                "kind": "training",
                "network": card["name"],
                "condition": corpus,
                "command": card["command"],
                "weights_sha256": card["sha256"],
                **made_with,
                **tags,
            },
            "params": flatten(card["params"]),
            "metrics": {**curves, **_single({"scores": card["scores"], "system": machine})},
        },
        "children": [],
        "texts": texts,
        "model": {"alias": corpus, "card": card, "weights": weights, "choices": choices},
    }


def circumstances(folder: str | os.PathLike = ".") -> dict[str, str]:
    """Tags that say by which commit and on what kind of machine: git_commit, git_dirty, machine.

    Outside a repository, or without git, the first two are missing.
    """
    tags = {"machine": f"{platform.platform()}, {os.cpu_count()} cores"}
    git = ["git", "-C", str(folder)]
    try:
        for name, command in (("git_commit", ["rev-parse", "HEAD"]), ("git_dirty", ["status", "--porcelain"])):
            tags[name] = subprocess.run([*git, *command], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return tags
    return tags | {"git_dirty": str(bool(tags["git_dirty"])).lower()}


def tracked_versions(paths: list[str]) -> dict[str, str]:
    """The md5 that DVC knows what went in by, from .dvc files and dvc.lock: tags dvc.{path}."""
    found: dict[Path, str] = {}
    for path in map(Path, paths):
        known = yaml.safe_load(path.read_text())
        outs = [out for stage in known.get("stages", {"": known}).values() for out in stage.get("outs", [])]
        found |= {path.parent / out["path"]: out["md5"] for out in outs if "md5" in out}
    return {f"dvc.{path}": md5 for path, md5 in found.items() if path.parts[0] != "results"}


def read_cost(path: str | os.PathLike) -> dict[str, float]:
    """What a job cost, from the file of Snakemake's `benchmark:`, named as MLflow names system metrics; or nothing."""
    if not Path(path).is_file():
        return {}
    header, row = (line.split("\t") for line in Path(path).read_text().splitlines()[:2])
    measured = dict(zip(header, row, strict=True))
    names = {"s": "seconds", "max_rss": "memory_usage_megabytes", "mean_load": "cpu_utilization_percentage"}
    return {name: float(measured[column]) for column, name in names.items() if measured[column] not in ("-", "NA")}


def read_texts(*paths: str | os.PathLike) -> dict[str, str]:
    """The contents of those of the (text) files that are there, by name."""
    return {Path(path).name: Path(path).read_text() for path in paths if Path(path).is_file()}


def flatten(values: dict, prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted keys; lists stay as they are.

    >>> flatten({"fit": {"epochs": 2}, "seed": 0})
    {'fit.epochs': 2, 'seed': 0}
    """
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _single(values: dict) -> dict[str, Points]:
    """Nested numbers as metrics of one point each, their names joined by a slash; what is no number is left out."""
    return {name.replace(".", "/"): [(0, float(value))] for name, value in flatten(values).items() if _is_number(value)}


def _cmc(values: dict) -> dict[str, Points]:
    """The curve of matches within the first k, as a metric stepped by k, of each protocol that says rank{k}."""
    curves = {
        f"{protocol}/cmc": [(int(name[4:]), value) for name, value in scores.items() if re.fullmatch(r"rank\d+", name)]
        for protocol, scores in values.items()
    }
    return {name: sorted(points) for name, points in curves.items() if points}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
