"""Recording through the real snakemake."""

import json
import os
import subprocess

RESULT = {
    "video": "tiny",
    "scenes": {"found": 2},
    "systems": {"hist": {"paper": {"mAP": 0.5, "rank1": 1.0}, "strict": {"mAP": 0.5}, "identities": {"found": 1}}},
    "provenance": {"params_sha256": "", "code": "", "weights": {}, "seconds": {}},
}


def test_record_makes_no_result_and_waits_for_no_server(project):
    result = project.folder / "results/eval_tiny.json"
    result.parent.mkdir()
    result.write_text(json.dumps(RESULT))
    command = project.command("record")
    at = command.index("--cores")
    command[at:at] = ["--allowed-rules", "record", "record_evaluation", "record_training"]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    done = subprocess.run(command, cwd=project.folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "warning: 1 records wait in results/mlflow/outbox" in done.stderr
    receipt = json.loads((project.folder / "results/mlflow/receipts/eval_tiny.json").read_text())
    assert receipt["runs"] == ["tiny", "tiny hist"]
    assert [path.stem for path in (project.folder / "results/mlflow/outbox").glob("*.json")] == [receipt["record"]]
    assert json.loads(result.read_text()) == RESULT and not (project.folder / "results/tiny").exists()
