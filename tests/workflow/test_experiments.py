"""DVC as people use it to share and to try: a remote on S3, experiments, plots, models by name; in a clone."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
KEYS = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A fresh clone with its weights, and a function that runs a Python module in it."""
    if not (ROOT / ".git").exists():
        pytest.skip("needs the git repository: this is a copy without it")
    folder = tmp_path_factory.mktemp("experiments") / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)

    def run(*command: str, **environment: str) -> str:
        given = {**os.environ, "PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1", **environment}
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=folder, env=given, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("dvc", "pull", "data/weights/all", "data/weights/day", "data/weights/night")
    return folder, run


@pytest.fixture
def bucket():
    """The address of a server that speaks S3, with an empty bucket."""
    pytest.importorskip("moto.server", reason="needs moto[server]: pip install -e '.[dev]'")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(600):
        assert running.poll() is None
        with contextlib.suppress(OSError):
            request = urllib.request.Request(f"{url}/runners", method="PUT")
            urllib.request.urlopen(request, timeout=5)
            break
        time.sleep(0.5)
    else:
        pytest.fail("moto_server did not come up in five minutes")
    yield url
    running.terminate()
    running.wait(30)


def test_weights_go_to_s3_and_come_back(clone, bucket):
    folder, run = clone
    weights = folder / "data/weights/night/gru_ae.pt"
    content = weights.read_bytes()
    run("dvc", "remote", "add", "--local", "--force", "s3", "s3://runners/dvc")
    run("dvc", "remote", "modify", "--local", "s3", "endpointurl", bucket)
    count = len(list(weights.parent.iterdir())) + 1  # and the list of them
    assert f"{count} files pushed" in run("dvc", "push", "--remote", "s3", "data/weights/night", **KEYS)
    shutil.rmtree(weights.parent)
    shutil.rmtree(folder / ".dvc/cache")
    run("dvc", "pull", "--remote", "s3", "data/weights/night", **KEYS)
    assert weights.read_bytes() == content


def test_a_model_is_had_by_its_name(clone, tmp_path):
    folder, run = clone
    somebody = ["git", "-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
    subprocess.run([*somebody, "tag", "-a", "gru-ae-night@v1.0.0", "-m", "first"], cwd=folder, check=True)
    run("dvc", "artifacts", "get", ".", "gru-ae-night", "--out", str(tmp_path / "model.pt"))
    assert (tmp_path / "model.pt").read_bytes() == (folder / "data/weights/night/gru_ae.pt").read_bytes()


def test_trainings_are_drawn_by_epoch(clone):
    _, run = clone
    drawn = json.loads(run("dvc", "plots", "show", "--json"))
    points = drawn["data"]["training of persons"][0]["content"]["data"]["values"]
    epochs = yaml.safe_load((ROOT / "params.yaml").read_text())["training"]["persons"]["fit"]["epochs"]
    assert [int(point["epoch"]) for point in points] == list(range(epochs))


def test_experiments_wait_in_a_queue(clone):
    _, run = clone
    for threshold in ("0.8", "0.85"):
        run(
            "dvc", "exp", "run", "--queue", "--set-param", f"identity.threshold={threshold}", "evaluate@published_night"
        )
    assert "0.85" in run("dvc", "exp", "show", "--json")
    assert run("dvc", "queue", "status").count("Queued") == 2
    run("dvc", "queue", "remove", "--all")


def test_an_experiment_changes_a_parameter_runs_and_is_compared(clone, shared):
    folder, run = clone
    run(
        *("dvc", "exp", "run", "--name", "loose", "--set-param", "identity.threshold=0.8"),
        *("--set-param", "evaluation.published=[hist]", "evaluate@published_night"),
        RUNNER_REID_MIRROR=str(shared),
    )
    result = json.loads((folder / "results/eval_published_night.json").read_text())
    assert list(result["systems"]) == ["hist"]
    shown = json.loads(run("dvc", "exp", "show", "--json"))[-1]
    assert "loose" in json.dumps(shown)
    assert "identity.threshold" in run("dvc", "params", "diff")
