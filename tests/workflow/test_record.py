"""Recording through the real snakemake."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

RESULT = {
    "video": "tiny",
    "scenes": {"found": 2},
    "systems": {"hist": {"paper": {"mAP": 0.5, "rank1": 1.0}, "strict": {"mAP": 0.5}, "identities": {"found": 1}}},
    "provenance": {"params_sha256": "", "code": "", "weights": {}, "seconds": {}},
}


def record(project) -> str:
    """What `make record` says, with a server that is down."""
    command = project.command("record")
    at = command.index("--cores")
    command[at:at] = ["--allowed-rules", "record", "record_evaluation", "record_training"]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    done = subprocess.run(command, cwd=project.folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_record_makes_no_result_and_waits_for_no_server(project):
    result = project.folder / "results/eval_tiny.json"
    result.parent.mkdir()
    result.write_text(json.dumps(RESULT))
    assert "warning: 1 records wait in results/mlflow/outbox" in record(project)
    receipt = json.loads((project.folder / "results/mlflow/receipts/eval_tiny.json").read_text())
    assert receipt["runs"] == ["tiny", "tiny hist"]
    assert [path.stem for path in (project.folder / "results/mlflow/outbox").glob("*.json")] == [receipt["record"]]
    assert json.loads(result.read_text()) == RESULT and not (project.folder / "results/tiny").exists()


def test_a_training_is_recorded_with_what_it_cost_and_how_its_network_is_called(project):
    if not (ROOT / "data/weights/night/gru_ae.csv").exists():
        pytest.skip("data/weights is empty: run `dvc pull` (make does)")
    trained = project.folder / "results/weights/night"
    shutil.copytree(ROOT / "data/weights/night", trained)
    (trained / "seconds").mkdir()
    (trained / "seconds/train_extractor.gru_ae.tsv").write_text("s\tmax_rss\tmean_load\n900.5\t1411.5\t147.2\n")
    record(project)
    receipt = json.loads((project.folder / "results/mlflow/receipts/weights/night/gru_ae.json").read_text())
    made = json.loads((project.folder / f"results/mlflow/outbox/{receipt['record']}.json").read_text())
    assert made["run"]["metrics"]["system/memory_usage_megabytes"] == [[0, 1411.5]]
    assert made["model"]["choices"]["method"] == "gru_ae" and made["model"]["alias"] == "night"
    assert len(made["run"]["metrics"]["validation_loss"]) == made["model"]["card"]["params"]["fit"]["epochs"]
