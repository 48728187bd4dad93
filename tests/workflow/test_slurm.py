"""The main job on a real SLURM of one node, through profiles/slurm, with what goes wrong on a cluster."""

import contextlib
import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import yaml

from runner_reid.tables import FRAMES

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "tests/slurm"
TARGET = "results/eval_tiny.json"
CLIP = "results/clip/frames.parquet"
SCATTER = ("--set-scatter", "time_range=2")
PATIENCE_S = 600


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[Path]:
    """A SLURM that runs, and the folder of its logs."""
    if not os.environ.get("RUNNER_REID_SLURM"):
        pytest.skip("starts a SLURM for four minutes: as root, tests/slurm/install, then RUNNER_REID_SLURM=1 pytest")
    for program in ("slurmctld", "slurmd", "munged"):
        if not Path("/usr/sbin", program).exists():
            pytest.skip(f"needs {program} of Debian's slurm-wlm and munge: as root, run tests/slurm/install")
    if os.geteuid():
        pytest.skip("needs root, to start a SLURM")
    folder = tmp_path_factory.mktemp("slurm")
    started = subprocess.run([SCRIPTS / "start", folder], capture_output=True, text=True, timeout=60)
    if "belongs to another cluster" in started.stderr or "runs on this machine already" in started.stderr:
        pytest.skip(started.stderr.strip())
    assert started.returncode == 0, started.stderr
    yield folder
    subprocess.run([SCRIPTS / "stop", folder], timeout=60, check=True)


class Run:
    """Snakemake in a project's folder, submitting to SLURM."""

    def __init__(self, project, target: str, **resources: str):
        self.folder = project.folder
        self.said = self.folder / "said.txt"
        command = project.command(target)
        at = command.index("--cores")
        given = [f"{name.replace('__', ':')}={value}" for name, value in resources.items()]
        command[at : at + 2] = [
            *("--profile", "profiles/slurm", "--slurm-status-command", "squeue", "--latency-wait", "10"),
            *("--slurm-init-seconds-before-status-checks", "5", *SCATTER),
            *(["--set-resources", *given] if given else []),
        ]
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
        with self.said.open("a") as said:
            self.process = subprocess.Popen(command, cwd=self.folder, env=environment, stdout=said, stderr=said)

    def jobs(self, what: str = "") -> dict[str, str]:
        """The state of each job of this folder that SLURM knows, of those of a rule or group."""
        listed = subprocess.run(
            ["squeue", "--noheader", "--states=all", "--format=%i %T %Z %k"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
        rows = [line.split(maxsplit=3) for line in listed.stdout.splitlines()]
        return {job: state for job, state, folder, comment in rows if folder == str(self.folder) and what in comment}

    def wait_for(self, seen: Callable[[], object]) -> object:
        """What `seen` gives, as soon as that is something."""
        ending = time.monotonic() + PATIENCE_S
        while time.monotonic() < ending:
            if found := seen():
                return found
            assert self.process.poll() is None, self.last_words()
            time.sleep(0.2)
        raise TimeoutError(self.last_words())

    def job(self, what: str, state: str) -> str:
        """The number of a job in that state, once there is one."""
        return self.wait_for(lambda: [job for job, now in self.jobs(what).items() if now == state])[0]

    def script(self, job: str) -> psutil.Process:
        """The process of a job's script, once it runs."""
        return self.wait_for(lambda: scripts_of(job))[0]

    def end(self) -> str:
        """What Snakemake said, after it has ended well."""
        assert self.process.wait(timeout=PATIENCE_S) == 0, self.last_words()
        return self.said.read_text()

    def last_words(self) -> str:
        return self.said.read_text()[-2000:]


def planned(project, target: str) -> str:
    """What Snakemake would do now."""
    command = project.command(target)
    at = command.index("--cores")
    command[at:at] = ["--dry-run", *SCATTER]
    done = subprocess.run(command, cwd=project.folder, capture_output=True, text=True, timeout=120)
    return done.stdout + done.stderr


def scripts_of(job: str) -> list[psutil.Process]:
    """The processes of a job of SLURM that run a script of a rule."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if ".snakemake/scripts/" in " ".join(process.cmdline()) and process.environ().get("SLURM_JOB_ID") == job:
                found.append(process)
    return found


def scontrol(state: str) -> None:
    subprocess.run(
        ["scontrol", "update", "NodeName=localhost", f"State={state}", "Reason=test"], timeout=20, check=True
    )


def main_job_with_faults(project):
    """The whole main job without weights, in which a job is cancelled and the node drains."""
    overlay = yaml.safe_load((ROOT / "docs/examples/no_weights.yaml").read_text())
    people = {"condition": "night", "seed": 5, "duration_s": 14, "runners": 1, "crowd": 1}
    overlay |= {"practice": {"videos": {"tiny": people}}, "evaluation": {"systems": ["hist"]}}
    project.overlay(overlay | {"report": {"system": "hist"}})
    run = Run(project, TARGET)
    cancelled = run.job("render_practice", "RUNNING")
    subprocess.run(["scancel", cancelled], timeout=20, check=True)
    drained = run.job("extract_frames", "RUNNING")
    scontrol("drain")
    waiting = run.job("segment_persons", "PENDING")
    ended = run.jobs()[drained]
    scontrol("resume")
    return SimpleNamespace(project=project, run=run, said=run.end(), cancelled=cancelled, waiting=waiting, ended=ended)


def killed_and_hung(project):
    """A job whose Snakemake is killed; submitted again, it needs more memory, and then hangs until its time is over."""
    first = Run(project, CLIP)
    left = first.job("extract_frames", "RUNNING")
    slow = first.script(left)
    slow.suspend()
    first.process.kill()
    first.process.wait()
    unlock = [*project.command()[:-1], "--unlock"]
    subprocess.run(unlock, cwd=project.folder, timeout=120, check=True, capture_output=True)
    resources = {"extract_frames__mem_mb": "100 * attempt ** 4", "extract_frames__runtime": "max(1, attempt - 1)"}
    second = Run(project, CLIP, **resources)
    large = second.wait_for(lambda: [job for job in second.jobs() if job != left])[0]
    slow.resume()
    hung = second.wait_for(lambda: [job for job in second.jobs() if job not in (left, large)])[0]
    stuck = second.script(hung)
    stuck.suspend()
    said = second.end()
    with contextlib.suppress(psutil.NoSuchProcess):  # SLURM without cgroups leaves it behind
        stuck.kill()
    return SimpleNamespace(project=project, run=second, said=said, left=left, large=large, hung=hung)


@pytest.fixture(scope="module")
def started(cluster, project_in, practice, tmp_path_factory) -> Iterator[dict[str, Future]]:
    """Both, at the same time: most of it is waiting."""
    other = project_in(tmp_path_factory.mktemp("killed_and_hung"))
    other.row("clip", str(practice.path))
    with ThreadPoolExecutor() as side_by_side:
        yield {
            "main_job": side_by_side.submit(main_job_with_faults, project_in(tmp_path_factory.mktemp("main_job"))),
            "other": side_by_side.submit(killed_and_hung, other),
        }


@pytest.fixture(scope="module")
def main_job(started) -> SimpleNamespace:
    return started["main_job"].result()


@pytest.fixture(scope="module")
def other(started) -> SimpleNamespace:
    return started["other"].result()


def test_the_main_job_goes_through_a_cluster_in_few_jobs(main_job):
    result = json.loads((main_job.project.folder / TARGET).read_text())
    assert result["scenes"]["recall"] == 1 and list(result["systems"]) == ["hist"]
    assert "Nothing to be done" in planned(main_job.project, TARGET)
    completed = [job for job, state in main_job.run.jobs().items() if state == "COMPLETED"]
    assert len(completed) == 6  # the video, its frames, two time ranges, its passages, its identities


def test_a_cancelled_job_runs_again(main_job):
    states = main_job.run.jobs("render_practice")
    assert states[main_job.cancelled] == "CANCELLED" and list(states.values()).count("COMPLETED") == 1
    assert f"SLURM-job '{main_job.cancelled}' failed, SLURM status is: 'CANCELLED'" in main_job.said


def test_a_drained_node_ends_its_jobs_and_takes_others_when_it_is_back(main_job):
    assert main_job.ended == "COMPLETED"
    assert main_job.run.jobs()[main_job.waiting] == "COMPLETED"


def test_a_job_over_its_memory_runs_again_with_more(other, cluster):
    assert other.run.jobs()[other.large] in ("FAILED", "OUT_OF_MEMORY")
    assert re.search(rf"StepId={other.large}\.\w+ exceeded memory limit", (cluster / "slurmd.log").read_text())


def test_a_job_over_its_time_runs_again_with_more(other):
    states = other.run.jobs()
    assert states.pop(other.hung) == "TIMEOUT"
    assert list(states.values()).count("COMPLETED") == 2 and len(states) == 3


def test_a_job_goes_on_when_its_snakemake_is_killed_and_harms_nothing(other):
    assert other.run.jobs()[other.left] == "COMPLETED"
    assert FRAMES.read(other.project.folder / CLIP).height
    assert "Nothing to be done" in planned(other.project, CLIP)
