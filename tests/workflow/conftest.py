"""A copy of the project in a temporary folder, and the real snakemake."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TINY = {"practice": {"videos": {"tiny": {"condition": "night", "seed": 7, "duration_s": 14, "runners": 5, "crowd": 1}}}}
SHEET = "video\tfiles\tcondition\trole\tmin_lap_s\tsource\tlabels\n"
TINY_ROW = (
    "tiny\tdata/videos/tiny.mp4\tnight\ttest\t30\tpractice\tdata/labels/tiny/gt.txt,data/labels/tiny/identities.tsv\n"
)


class Project:
    """A folder that snakemake can run in, with one tiny video of its own."""

    def __init__(self, folder: Path):
        self.folder = folder
        for name in ("Snakefile", "params.yaml", "workflow", "profiles", "data/sources.tsv", "data/videos.tsv"):
            source, target = ROOT / name, folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
        for name in ("data/weights", "src"):
            (folder / name).symlink_to(ROOT / name)
        (folder / "sheet.tsv").write_text(SHEET + TINY_ROW)
        self.overlay({})

    def overlay(self, params: dict) -> None:
        """Lay `params` over params.yaml, and the tiny video with them."""
        (self.folder / "overlay.yaml").write_text(yaml.safe_dump(TINY | params))

    def row(self, video: str, files: str, *, labels: str = "", condition: str = "night") -> None:
        with (self.folder / "sheet.tsv").open("a") as sheet:
            sheet.write(f"{video}\t{files}\t{condition}\ttest\t30\tfile\t{labels}\n")

    def command(self, *arguments: str) -> list[str]:
        given = [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", "params.yaml", "overlay.yaml"]
        return [*given, "--config", "videos=sheet.tsv", "--", *arguments]

    def snakemake(
        self, *arguments: str, dry: bool = False, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess:
        command = self.command(*arguments)
        if dry:
            command.insert(command.index("--cores"), "--dry-run")
        variables = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})}
        return subprocess.run(command, cwd=self.folder, env=variables, capture_output=True, text=True, timeout=900)

    def planned(self, *arguments: str) -> dict[str, int]:
        """The rules of a dry-run and how many jobs of each."""
        done = self.snakemake(*arguments, dry=True)
        assert done.returncode == 0, done.stdout + done.stderr
        text = done.stdout + done.stderr
        if "Job stats:" not in text:
            return {}
        table = text.rsplit("Job stats:", 1)[1].split("total")[0].splitlines()[3:]
        return {line.split()[0]: int(line.split()[1]) for line in table if len(line.split()) == 2}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture(scope="session")
def project_in() -> Callable[[Path], Project]:
    """A function that makes a project in a folder, for fixtures that live longer than a test."""
    return Project


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose tiny video has gone through every step, from rendering to the report."""
    if not (ROOT / "data/weights/all/persons.pt").exists():
        pytest.skip("data/weights is empty: run `dvc pull` (make does)")
    project = Project(tmp_path_factory.mktemp("finished"))
    done = project.snakemake("results/eval_tiny.json", "results/report_tiny.html")
    assert done.returncode == 0, done.stdout + done.stderr
    return project
