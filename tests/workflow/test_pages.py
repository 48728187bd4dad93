"""MLflow's pages in a real headless browser: what we record is what people see."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request

import pytest

from runner_reid import recording, records, views
from runner_reid.provenance import digest

PARAMS = {
    "systems": {
        "hist": {"weights": {"color_hist": 1.0}},
        "gru_hist": {"weights": {"gru_ae": 0.85, "color_hist": 0.15}},
    }
}
MEAN_PRECISION = {"hist": 0.7171, "gru_hist": 0.6806}
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
PATIENCE_MS = 120_000


def scores(mean_precision: float) -> dict:
    paper = {"mAP": mean_precision - 0.1, "rank1": 0.8, "rank5": 0.9, "rank10": 1.0}
    return {"paper": paper, "strict": {"mAP": mean_precision, "rank1": 0.75}, "identities": {"ARI": 0.9}}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server of MLflow with one evaluation of two systems, and the ids of their runs by name."""
    folder = tmp_path_factory.mktemp("pages")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    result = {
        "video": "night",
        "scenes": {"recall": 0.9713},
        "systems": {name: scores(value) for name, value in MEAN_PRECISION.items()},
        "provenance": {"params_sha256": digest(PARAMS), "code": "c0de"},
    }
    made = records.evaluation_record(result, params=PARAMS, condition="night", texts={}, tags={})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        recording.record(made, outbox="outbox")
        client, experiment = recording._open(recording.DATABASE)
    ids = {run.info.run_name: run.info.run_id for run in client.search_runs([experiment])}
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    with (folder / "server.log").open("w") as log:
        running = subprocess.Popen(
            [*command, "--backend-store-uri", recording.DATABASE],
            cwd=folder,
            env={**os.environ, **quiet},
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}"
    for _ in range(600):
        assert running.poll() is None, (folder / "server.log").read_text()
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{url}/health", timeout=5)
            break
        time.sleep(0.5)
    else:
        pytest.fail("MLflow did not come up in five minutes")
    yield url, experiment, ids
    running.terminate()
    running.wait(30)


@pytest.fixture(scope="module")
def page():
    """A page of Debian's Chromium."""
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium")
    if not path:
        pytest.skip("needs a browser: install Debian's package chromium")
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=FLAGS)
        page = browser.new_page(viewport={"width": 1800, "height": 900})
        page.set_default_timeout(PATIENCE_MS)
        yield page
        browser.close()


def test_the_saved_view_of_systems_shows_ours_best_first(server, page):
    url, experiment, _ = server
    page.goto(views.links(url, experiment)["systems"])
    for value in MEAN_PRECISION.values():
        page.wait_for_selector(f"text={value}")
    shown = page.inner_text("body")
    assert "2 matching runs" in shown and "strict/mAP" in shown and "identities/ARI" in shown
    assert shown.index("night hist") < shown.index("night gru_hist")


def test_the_saved_view_of_a_sweep_shows_the_weights(server, page):
    url, experiment, _ = server
    page.goto(views.links(url, experiment)["sweep"])
    page.wait_for_selector("text=weights.gru_ae")
    assert "0.85" in page.inner_text("body")


def test_two_runs_can_be_compared(server, page):
    url, experiment, ids = server
    chosen = [ids["night hist"], ids["night gru_hist"]]
    query = urllib.parse.urlencode({"runs": json.dumps(chosen), "experiments": json.dumps([experiment])})
    page.goto(f"{url}/#/compare-runs?{query}")
    page.wait_for_selector("text=strict/mAP")
    shown = page.inner_text("body")
    assert "Comparing 2 Runs" in shown
    assert all(f"{value:.3f}" in shown for value in MEAN_PRECISION.values())
