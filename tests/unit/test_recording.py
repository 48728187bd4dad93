"""Records, and the real mlflow on a database of its own."""

import contextlib
import http.server
import json
import os
import socket
import subprocess
import sys
import threading

import pytest

from runner_reid import recording, records
from runner_reid.provenance import digest

PARAMS = {"systems": {"hist": {"weights": {"color_hist": 1.0}}}, "evaluation": {"systems": ["hist"], "seed": 0}}
SCORES = {
    "paper": {"mAP": 0.5, "rank1": 0.25, "rank10": 1.0, "rank5": 0.75, "queries": 4, "ceiling": {"mAP": 0.9}},
    "strict": {"mAP": 0.6, "mAP_ci95": [0.5, 0.7], "rank1": None},
    "identities": {"found": 3, "ARI": 0.8, "purity": {"0": 1.0}, "doubtful": [{"scene": 1, "why": "alone"}]},
}
CARD = {
    "name": "persons",
    "command": "snakemake --cores 8 results/weights/all/persons.pt",
    "params": {"fit": {"epochs": 2}, "shared": True},
    "data": [],
    "scores": {"box_AP": 0.7},
    "sha256": "fe11",
    "created_with": {"torch": "2.13.0"},
}
HISTORY = [{"epoch": 0, "loss": 2.0, "f1": None}, {"epoch": 1, "loss": 1.0, "f1": 0.5}]
AGAIN = "import json, sys; from runner_reid import recording; recording.record(json.load(sys.stdin), outbox='outbox')"


def evaluation(video="night", *, seconds=1.0, found=2, params=PARAMS):
    result = {
        "video": video,
        "scenes": {"found": found},
        "tracking": {"IDF1": 0.9},
        "systems": {"hist": SCORES},
        "provenance": {
            "params_sha256": digest(PARAMS),
            "code": "c0de",
            "weights": {"shoes": "5a0e"},
            "seconds": {"evaluate": seconds},
        },
    }
    texts = {"eval.json": json.dumps(result)}
    return records.evaluation_record(result, params=params, condition="night", texts=texts, tags={"git_dirty": "no"})


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """A folder where three processes at once have made the database, each with a record of its own."""
    folder = tmp_path_factory.mktemp("recording")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        jobs = [
            subprocess.Popen([sys.executable, "-c", AGAIN], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(3)
        ]
        for number, job in enumerate(jobs):
            job.stdin.write(json.dumps(evaluation(f"video{number}")))
            job.stdin.close()
        warnings = "".join(job.stderr.read() for job in jobs)
        assert [job.wait(120) for job in jobs] == [0, 0, 0] and "warning:" not in warnings, warnings
        yield folder


def runs(made, database):
    """The runs of a record: {name: run}, the client that found them; each name once."""
    client, experiment = recording._open(recording.DATABASE)
    found = client.search_runs([experiment], filter_string=f"tags.record = '{made['key']}'")
    named = {run.info.run_name: run for run in found}
    assert len(named) == len(found)
    return named, client


def waiting(folder):
    return list(folder.glob("*.json"))


@pytest.mark.parametrize("video", ["video0", "video1", "video2"])
def test_jobs_that_start_at_once_all_record(database, video):
    assert set(runs(evaluation(video), database)[0]) == {video, f"{video} hist"}
    assert not waiting(database / "outbox")


def test_an_evaluation_is_a_run_with_one_below_it_for_each_system(database):
    made = evaluation("video0")
    named, client = runs(made, database)
    parent, child = named["video0"], named["video0 hist"]
    assert parent.info.status == child.info.status == "FINISHED"
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert parent.data.metrics == {"scenes/found": 2, "tracking/IDF1": 0.9, "seconds/evaluate": 1}
    assert parent.data.params["systems.hist.weights.color_hist"] == "1.0"
    assert parent.data.params["evaluation.systems"] == '["hist"]'
    assert {"weights.shoes": "5a0e", "condition": "night", "git_dirty": "no"}.items() <= parent.data.tags.items()
    assert child.data.metrics["paper/mAP"] == 0.5 and child.data.metrics["paper/ceiling/mAP"] == 0.9
    assert child.data.metrics["identities/ARI"] == 0.8 and child.data.tags["protocol"] == "paper, strict"
    assert not [name for name in child.data.metrics if "purity" in name or "ci95" in name]
    curve = client.get_metric_history(child.info.run_id, "paper/cmc")
    assert [(point.step, point.value) for point in curve] == [(1, 0.25), (5, 0.75), (10, 1.0)]
    assert [file.path for file in client.list_artifacts(parent.info.run_id)] == ["eval.json"]


def test_a_training_is_a_run_with_curves(database):
    made = records.training_record(
        CARD,
        HISTORY,
        corpus="all",
        machine={"seconds": 60.0},
        texts={"persons.json": "{}"},
        tags={},
        weights="absent.pt",
        choices={},
    )
    recording.record(made, outbox=database / "outbox")
    named, client = runs(made, database)
    run = named["persons@all"]
    assert run.data.tags["weights_sha256"] == "fe11" and run.data.params == {"fit.epochs": "2", "shared": "true"}
    assert run.data.metrics == {"loss": 1, "f1": 0.5, "scores/box_AP": 0.7, "system/seconds": 60}
    assert run.data.tags["model"] == "not kept: absent.pt was replaced before it could be sent"
    assert [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, "loss")] == [
        (0, 2.0),
        (1, 1.0),
    ]


def test_the_same_result_is_recorded_once(database):
    made = evaluation("video1")
    assert evaluation("video1", seconds=9.0)["key"] == made["key"] != evaluation("video1", found=3)["key"]
    before = runs(made, database)[0]
    receipt = recording.record(evaluation("video1", seconds=9.0), outbox=database / "outbox")
    assert receipt == {"record": made["key"], "runs": ["video1", "video1 hist"]}
    after = runs(made, database)[0]
    assert {run.info.run_id for run in after.values()} == {run.info.run_id for run in before.values()}


def test_what_an_interrupted_sending_left_is_replaced(database):
    made = evaluation("interrupted")
    client, experiment = recording._open(recording.DATABASE)
    left = client.create_run(experiment, run_name="interrupted", tags={"record": made["key"]})
    recording.record(made, outbox=database / "outbox")
    named = runs(made, database)[0]
    assert set(named) == {"interrupted", "interrupted hist"}
    assert left.info.run_id not in {run.info.run_id for run in named.values()}


def test_a_refused_record_does_not_keep_the_others(database, capsys):
    outbox = database / "other"
    refused = evaluation("refused")
    refused["run"]["metrics"]["not a name: $"] = [(0, 1.0)]
    outbox.mkdir()
    for made in (refused, evaluation("accepted")):
        (outbox / f"{made['key']}.json").write_text(json.dumps(made))
    assert recording.send_waiting(outbox) == 1
    assert [path.stem for path in waiting(outbox)] == [refused["key"]]
    assert "warning: 1 records wait" in capsys.readouterr().err


@contextlib.contextmanager
def no_server(kind):
    """The port of a server that is not there (dead), never answers (silent) or answers no (refusing)."""

    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(403)

        def log_message(self, *_):
            pass

    with socket.create_server(("127.0.0.1", 0)) as silent, http.server.HTTPServer(("127.0.0.1", 0), Refusing) as no:
        threading.Thread(target=no.serve_forever, daemon=True).start()
        port = {"silent": silent.getsockname()[1], "refusing": no.server_port, "dead": 9}
        yield port[kind]
        no.shutdown()


@pytest.mark.parametrize("kind", ["dead", "silent", "refusing"])
def test_without_a_server_a_record_waits_and_is_sent_once(database, tmp_path, monkeypatch, capsys, kind):
    made = evaluation(kind)
    with no_server(kind) as port, monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        patch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
        assert recording.record(made, outbox=tmp_path)["record"] == made["key"]
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and said[0].startswith("warning: 1 records wait") and "make record" in said[0]
    assert len(waiting(tmp_path)) == 1
    assert [recording.send_waiting(tmp_path) for _ in range(2)] == [1, 0]
    assert set(runs(made, database)[0]) == {kind, f"{kind} hist"}


def test_nobody_is_told(database):
    assert {os.environ[name] for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK")} == {"true"}


def test_choices_that_a_result_was_not_made_with_are_not_said():
    made = evaluation(params={"systems": {}, "evaluation": {}})
    assert made["run"]["params"] == {} and made["children"][0]["params"] == {"system": "hist"}
    assert made["run"]["tags"]["params_known"] == "false"
