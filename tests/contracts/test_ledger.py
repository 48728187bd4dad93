"""dvc.yaml against params.yaml, the rules and the sheet."""

import json
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import yaml

ROOT = Path(__file__).parents[2]
LEDGER = yaml.safe_load((ROOT / "dvc.yaml").read_text())
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
VIDEOS = pl.read_csv(ROOT / "data/videos.tsv", separator="\t").rows_by_key("video", named=True, unique=True)
STAGES = {name: stage.get("do", stage) for name, stage in LEDGER["stages"].items()}
PER_VIDEO = {name: stage["foreach"] for name, stage in LEDGER["stages"].items() if "foreach" in stage}
RULES = "\n\n\n".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))


def paths_of_rules(section: str) -> re.Pattern:
    """What a path looks like that a rule names in its `input` or `output`."""
    texts = re.findall(rf"^    {section}:\n(.*?)^    \w", RULES, re.M | re.S)
    named = {path for text in texts for path in re.findall(r'"([\w./{}]+)"', text) if "/" in path}
    return re.compile("|".join(re.sub(r"\\{\w+\\}", r"\\w+", re.escape(path)) for path in named))


def params_of(stage: dict) -> list[str]:
    """The sections and keys that a stage depends on."""
    return [
        name for entry in stage["params"] for name in (entry["params.yaml"] if isinstance(entry, dict) else [entry])
    ]


def outs_of(stage: dict) -> dict[str, dict]:
    return {path: how for entry in stage["outs"] + stage.get("metrics", []) for path, how in entry.items()}


def test_every_section_of_params_reaches_a_stage():
    reached = {name for stage in STAGES.values() for name in params_of(stage)}
    assert set(PARAMS) <= reached
    for name in reached:
        values = PARAMS
        for key in name.split("."):
            values = values[key]


def test_what_decides_an_identity_decides_every_later_stage():
    steps = set(params_of(STAGES["identify"]))
    assert all(steps <= set(params_of(STAGES[name])) for name in PER_VIDEO)


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_is_one_call_of_snakemake_and_keeps_what_is_there(name):
    assert LEDGER["vars"][0]["call"].startswith("snakemake ")
    assert STAGES[name]["cmd"].startswith("${call} ") and not re.search(r"[;&|]", STAGES[name]["cmd"])
    assert all(how == {"persist": True} for how in outs_of(STAGES[name]).values())


@pytest.mark.parametrize("name", PER_VIDEO)
def test_an_edge_between_files_is_snakemakes(name):
    read, written = paths_of_rules("input"), paths_of_rules("output")
    for path in STAGES[name]["deps"]:
        path = path.replace("${item}", "night")
        assert not read.fullmatch(path) and not written.fullmatch(path), path
    for path in outs_of(STAGES[name]):
        path = path.replace("${item}", "night")
        assert written.fullmatch(path if Path(path).suffix else f"{path}/any.parquet") or written.fullmatch(
            f"{path}/any.npz"
        )


def test_no_video_of_the_ledger_needs_a_training():
    for video in set().union(*PER_VIDEO.values()):
        row = VIDEOS[video]
        assert row["source"] == "published" or f"data/weights/{row['condition']}" in outs_of(STAGES["train"])


def test_weights_are_those_that_params_ask_for():
    """What is promoted was trained with the params that stand beside it: `dvc repro` has no training to do."""
    cards = [json.loads(path.read_text()) for path in (ROOT / "data/weights").glob("*/*.json")]
    if not cards:
        pytest.skip("data/weights is empty: run `dvc pull` (make does)")
    assert all(card["params"] == PARAMS["training"][card["name"]] for card in cards)


def test_dvc_reads_the_ledger():
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "stage", "list", "--name-only"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    expected = {"train"} | {f"{name}@{video}" for name, videos in PER_VIDEO.items() for video in videos}
    assert set(done.stdout.split()) == expected
