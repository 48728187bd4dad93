"""Records (`records.py`) as runs of MLflow. The only module that imports mlflow.

A record goes to an outbox first and leaves it when it has been sent: an absent or failing server costs one line of
warning and never a result.
"""

import argparse
import contextlib
import fcntl
import json
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from runner_reid import records, views
from runner_reid.files import sha256, write_text

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
    scores = "\n".join(f"| {name} | {value} |" for name, value in records.flatten(card["scores"]).items())
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


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Send the records that wait.")
    parser.add_argument("outbox", help="the folder they wait in")
    parser.add_argument("--views", metavar="SERVER", help="instead, print where a server shows the saved views")
    arguments = parser.parse_args()
    if arguments.views:
        print("\n".join(f"{name:9} {link}" for name, link in views.links(arguments.views, _open(DATABASE)[1]).items()))
    else:
        print(f"{send_waiting(arguments.outbox)} records sent")
