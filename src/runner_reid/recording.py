"""Evaluations and trainings as runs of MLflow. The only module that imports mlflow.

A record is made of files and is plain JSON, so making one needs no server. It goes to an outbox first and leaves it
when it has been sent: an absent or failing server costs one line of warning and never a result.
"""

import argparse
import contextlib
import fcntl
import json
import logging
import math
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from runner_reid import views
from runner_reid.files import sha256, write_text
from runner_reid.provenance import digest
from runner_reid.results import figures

LOG = logging.getLogger(__name__)

EXPERIMENT = "runner_reid"
DATABASE = "sqlite:///mlflow.db"
"""Where runs go unless MLFLOW_TRACKING_URI says otherwise."""

_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_IMPATIENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
}
"""How long a server is waited for, unless the environment says otherwise; seconds, and how often."""

_BATCH = 100
"""The most params or tags that MLflow takes in one request."""

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
    """The md5 that DVC knows each tracked thing by, from its .dvc file: tags dvc.{path without .dvc}."""
    found = {path.removesuffix(".dvc"): re.search(r"^- md5: (\S+)", Path(path).read_text(), re.M) for path in paths}
    return {f"dvc.{path}": match[1] for path, match in found.items() if match}


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


def record(made: dict, *, outbox: str | os.PathLike) -> dict:
    """Put a record into the outbox, try to send all that waits there, and return a receipt: its key and its runs."""
    write_text(Path(outbox) / f"{made['key']}.json", json.dumps(made, ensure_ascii=False))
    send_waiting(outbox)
    return {"record": made["key"], "runs": [run["name"] for run in (made["run"], *made["children"])]}


def send_waiting(outbox: str | os.PathLike) -> int:
    """Send what waits in the outbox, each record exactly once; the number that left it.

    One process at a time sends, and opens (so, the first time, makes) the database. What cannot be sent stays, with
    one line on stderr.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI") or DATABASE
    with _alone(Path(outbox) / ".lock"):
        waiting = sorted(Path(outbox).glob("[!.]*.json"))
        if not waiting:
            return 0
        try:
            client, experiment = _open(uri)
        except Exception as error:  # whatever a server, a database or a network can do wrong
            failed = [error] * len(waiting)
        else:
            failed = [why for path in waiting if (why := _try_to_send(client, experiment, path))]
    if failed:
        reason = " ".join(str(failed[0]).split())[:200]
        line = f"warning: {len(failed)} records wait in {outbox}; {uri} said: {reason}; later, run `make record`"
        LOG.warning(line)
        print(line, file=sys.stderr)
    return len(waiting) - len(failed)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock file `path`; a process that dies lets go of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _open(uri: str) -> tuple[Any, str]:
    """A client of the server or database `uri`, and the id of our experiment there."""
    os.environ.update(_QUIET)
    for name, value in _IMPATIENT.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient  # takes seconds, and reads the variables above

    if uri == DATABASE:  # by its whole path: MLflow keeps what it has open by name
        uri = f"sqlite:///{Path(DATABASE.removeprefix('sqlite:///')).resolve()}"
    client = MlflowClient(tracking_uri=uri)
    found = client.get_experiment_by_name(EXPERIMENT)
    experiment = found.experiment_id if found else client.create_experiment(EXPERIMENT)
    for name, view in views.tags().items():
        if found is None or found.tags.get(name) != view:
            client.set_experiment_tag(experiment, name, view)
    return client, experiment


def _try_to_send(client: Any, experiment: str, path: Path) -> Exception | None:
    """Send the record that waits in `path` and remove it; the error if that failed."""
    try:
        _send(client, experiment, json.loads(path.read_text()))
    except Exception as error:  # one record that is refused does not keep the others
        return error
    path.unlink()
    return None


def _send(client: Any, experiment: str, made: dict) -> None:
    """Send a record, unless it is there; what an interrupted sending left of it is deleted first."""
    there = client.search_runs([experiment], filter_string=f"tags.record = '{made['key']}'")
    tops = [run for run in there if "mlflow.parentRunId" not in run.data.tags]
    if [run for run in tops if run.info.status == "FINISHED"]:
        return
    for run in there:
        client.delete_run(run.info.run_id)
    parent = _start(client, experiment, made["run"], {"record": made["key"]})
    for child in made["children"]:
        below = _start(client, experiment, child, {"record": made["key"], "mlflow.parentRunId": parent})
        client.set_terminated(below)
    for name, text in made["texts"].items():
        client.log_text(parent, text, name)
    if "model" in made:
        client.set_tag(parent, "model", _register(client, parent, made["key"], **made["model"]))
    client.set_terminated(parent)  # last: only now is the record there


def _register(client: Any, run_id: str, key: str, *, alias: str, card: dict, weights: str, choices: dict) -> str:
    """Make the weights of a training a version of the model of their name, to load as `models:/{name}@{alias}`."""
    if not Path(weights).is_file() or sha256(weights) != card["sha256"]:
        return f"not kept: {weights} was replaced before it could be sent"
    from mlflow import pyfunc

    from runner_reid import serving  # torch and its networks

    name = card["name"]
    with tempfile.TemporaryDirectory() as folder:
        serving.write_served(Path(folder) / "served", weights=weights, choices=choices)
        pyfunc.save_model(
            Path(folder) / "model",
            loader_module="runner_reid.serving",
            data_path=f"{folder}/served",
            signature=_signature(*serving.columns(name)),
            pip_requirements=[f"runner-reid=={metadata.version('runner-reid')}"],
        )
        client.log_artifacts(run_id, f"{folder}/model", "model")
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    for left in client.search_model_versions(f"name = '{name}' and tags.record = '{key}'"):
        client.delete_model_version(name, left.version)
    source = f"{client.get_run(run_id).info.artifact_uri}/model"
    tags = {"record": key, "weights_sha256": card["sha256"], "condition": alias}
    version = client.create_model_version(name, source, run_id, tags=tags, description=_as_page(card)).version
    client.set_registered_model_alias(name, alias, version)
    return f"{name} version {version}, @{alias}"


def _signature(inputs: dict[str, str], outputs: dict[str, str]) -> Any:
    """The signature of a model with these columns, by the type of each; `[float]` is a list."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Array

    def schema(columns: dict[str, str]) -> Schema:
        return Schema([ColSpec(Array(DataType.float) if kind == "[float]" else kind, n) for n, kind in columns.items()])

    return ModelSignature(schema(inputs), schema(outputs))


def _as_page(card: dict) -> str:
    """A card for people, in Markdown."""
    scores = "\n".join(f"| {name} | {value} |" for name, value in flatten(card["scores"]).items())
    return (
        f"Trained by `{card['command']}` on {len(card['data'])} files (the card beside the weights names them).\n\n"
        f"| score | value |\n| --- | --- |\n{scores}\n\n```json\n{json.dumps(card['params'], indent=2)}\n```\n"
    )


def _start(client: Any, experiment: str, run: dict, tags: dict[str, str]) -> str:
    from mlflow.entities import Metric, Param

    all_tags = {name: str(value) for name, value in {**run["tags"], **tags}.items()}
    created = client.create_run(experiment, run_name=run["name"], tags=all_tags)
    now, run_id = created.info.start_time, created.info.run_id
    params = [
        Param(name, value if isinstance(value, str) else json.dumps(value)) for name, value in run["params"].items()
    ]
    metrics = [Metric(name, value, now, step) for name, points in run["metrics"].items() for step, value in points]
    for first in range(0, max(len(params), len(metrics)), _BATCH):
        batch = slice(first, first + _BATCH)
        client.log_batch(run_id, params=params[batch], metrics=metrics[batch])
    return run_id


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


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Send the records that wait.")
    parser.add_argument("outbox", help="the folder they wait in")
    parser.add_argument("--views", metavar="SERVER", help="instead, print where a server shows the saved views")
    arguments = parser.parse_args()
    if arguments.views:
        print("\n".join(f"{name:9} {link}" for name, link in views.links(arguments.views, _open(DATABASE)[1]).items()))
    else:
        print(f"{send_waiting(arguments.outbox)} records sent")
