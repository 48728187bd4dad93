"""DVC in a clone of what is committed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A function that runs a Python module in a fresh clone, and returns what it said."""
    folder = tmp_path_factory.mktemp("clone") / "clone"
    if not (ROOT / ".git").exists():
        pytest.skip("needs the git repository: this is a copy without it")
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)

    def run(*command: str, fails: bool = False) -> str:
        given = {**os.environ, "PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=folder, env=given, capture_output=True, text=True, timeout=300
        )
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    run("dvc", "pull")
    return folder, run


def test_a_clone_that_has_pulled_trains_nothing(clone):
    _, run = clone
    call = ["--configfile", "params.yaml", "--config", "videos=data/videos.tsv", "--", "results/eval_night.json"]
    plan = run("snakemake", "--dry-run", "--cores", "2", *call)
    assert "rule segment_persons:" in plan and "rule train_" not in plan


def test_a_changed_training_is_done_and_no_other(clone):
    folder, run = clone
    params = folder / "params.yaml"
    text = params.read_text()
    params.write_text(text.replace("min_frames: 47", "min_frames: 40"))
    assert "params.yaml" in run("dvc", "status", "train")
    call = ["--configfile", "params.yaml", "--config", "videos=data/videos.tsv", "promoted=fitting", "--", "promote"]
    plan = run("snakemake", "--dry-run", "--cores", "2", *call)
    params.write_text(text)
    assert "rule train_extractor:" in plan and "rule promote:" in plan
    assert "rule train_persons:" not in plan and "rule train_runners:" not in plan


def test_a_damaged_card_is_told(clone):
    folder, run = clone
    card = folder / "data/weights/all/shoes.json"
    kept = card.read_bytes()
    card.unlink()  # it may be a link to what other clones share
    card.write_text("{")
    call = ["--configfile", "params.yaml", "--config", "videos=data/videos.tsv", "promoted=fitting", "--", "promote"]
    said = run("snakemake", "--dry-run", "--cores", "2", *call, fails=True)
    card.write_bytes(kept)
    assert [line for line in said.splitlines() if "error: " in line and "shoes.json" in line]
    assert "src/runner_reid" not in said  # no traceback but the few lines of rules that Snakemake gives


def test_what_was_trained_is_promoted_and_nothing_else_is_made(clone):
    folder, run = clone
    promoted, trained = folder / "data/weights/night", folder / "results/weights/night"
    shutil.copytree(promoted, trained)
    (trained / "gru_ae.csv").write_text("epoch\n0\n")
    before = (promoted / "gru_ae.pt").read_bytes()
    call = ["--configfile", "params.yaml", "--config", "videos=data/videos.tsv", "--", "promote"]
    run("snakemake", "--allowed-rules", "promote", "--cores", "2", *call)
    assert (promoted / "gru_ae.csv").read_text() == "epoch\n0\n" and (promoted / "gru_ae.pt").read_bytes() == before
    shutil.rmtree(trained)
    run("dvc", "checkout", "--force", "data/weights/night")


def test_dvc_knows_which_parameter_changed_and_which_stages_it_concerns(clone):
    folder, run = clone
    params = folder / "params.yaml"
    text = params.read_text()
    before = run("dvc", "status", "identify@published_night")
    params.write_text(text.replace("bootstrap: 1000", "bootstrap: 100"))
    assert "evaluation.bootstrap" in run("dvc", "params", "diff")
    assert run("dvc", "status", "identify@published_night") == before
    assert "evaluation" in run("dvc", "status", "evaluate@published_night")
    params.write_text(text)


def test_every_stage_can_be_listed_before_anything_is_made(clone):
    _, run = clone
    assert run("dvc", "repro", "--dry", "--force").count("> snakemake --cores all") >= 3


def test_metrics_are_figures_only(clone):
    _, run = clone
    shown = run("dvc", "metrics", "show")
    assert "systems.hist.strict.mAP" in shown
    assert not [word for word in ("provenance", "purity", "seconds") if word in shown]
