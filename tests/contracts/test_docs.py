"""The docs say what is there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "benchmarks/README.md"]
RULES = {
    name
    for path in (ROOT / "workflow/rules").glob("*.smk")
    for name in re.findall(r"^rule (\w+):", path.read_text(), re.M)
}


def test_tables_page_is_made_from_the_code():
    made = subprocess.run(
        [sys.executable, "-m", "runner_reid.tables"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert (ROOT / "docs/tables.md").read_text() == made, "run `make docs`"


def test_picture_in_the_readme_shows_the_steps():
    picture = re.search(r"```mermaid(.*?)```", (ROOT / "README.md").read_text(), re.S)[1]
    shown = set(re.findall(r"\b[a-z]+_[a-z_]+\b|\bevaluate\b|\breport\b", picture))
    assert shown == {rule for rule in RULES if not rule.startswith(("train_", "promote", "fetch_", "record_"))}


def test_data_flow_in_the_architecture_names_rules():
    flow = re.search(r"## How data flows\n\n```(.*?)```", (ROOT / "docs/architecture.md").read_text(), re.S)[1]
    named = set(re.findall(r"^ *\d? +([a-z_]+) \.", flow, re.M))
    assert named <= RULES
    assert len(named) > 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_commands_lead_somewhere(page):
    text = page.read_text()
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (page.parent / link).exists(), link
    targets = set(re.findall(r"^([\w.]+):", (ROOT / "Makefile").read_text(), re.M))
    for target in re.findall(r"^make ([\w.]+)(?:\s|$)", text, re.M):
        assert target in targets, target
    for path in re.findall(r"(?:VIDEOS|PARAMS)=(docs/\S+)|python (benchmarks/\S+\.py)", text):
        assert (ROOT / (path[0] or path[1])).exists(), path


def test_sheet_columns_are_documented():
    header = (ROOT / "data/videos.tsv").read_text().splitlines()[0].split("\t")
    documented = re.findall(r"^\| (\w+) \|", (ROOT / "docs/data.md").read_text(), re.M)
    assert documented[1:] == header
