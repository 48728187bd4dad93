"""The whole graph, with the real snakemake, real weights and a real (tiny, rendered) video."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import polars as pl
import pytest
import yaml

ROOT = Path(__file__).parents[2]

TARGET = "results/eval_tiny.json"


def test_the_main_job_is_planned_from_raw_video_without_training(project):
    planned = project.planned(TARGET)
    assert planned["render_practice"] == 1
    assert planned["segment_persons"] == 4
    assert not [rule for rule in planned if rule.startswith("train_")]


def test_a_season_is_planned_video_by_video(project):
    videos = [f"practice{number:02d}" for number in range(40)]
    for video in videos:
        (project.folder / f"{video}.mp4").touch()
        project.row(video, f"{video}.mp4")
    one, all_of_them = (
        project.planned(*(f"results/report_{video}.html" for video in some)) for some in (videos[:1], videos)
    )
    assert one["segment_persons"] == 4 and one["report"] == 1
    assert all_of_them == {rule: jobs * len(videos) for rule, jobs in one.items()}


def test_result_has_the_agreed_shape(finished):
    result = json.loads((finished.folder / TARGET).read_text())
    assert set(result) == {"video", "scenes", "tracking", "systems", "provenance"}
    assert set(result["scenes"]) == {"found", "labelled", "matched", "missed", "spurious", "recall", "precision"}
    assert set(result["tracking"]) == {"MOTA", "IDF1", "HOTA"}
    assert list(result["systems"]) == [
        "hist",
        "hist_shoe",
        "gru",
        "gru_hist",
        "spcl",
        "ice",
        "pplr",
        "hhcl",
        "hhcl_shoe",
        "hist_lab",
        "hhcl_shoe_identities",
        "hhcl_lab",
    ]
    for system in result["systems"].values():
        assert set(system["paper"]) == {"mAP", "rank1", "rank5", "rank10", "queries", "ceiling"}
        assert set(system["strict"]) == {"mAP", "mAP_ci95", "rank1", "rank5", "mINP", "queries"}
        assert {"found", "true", "ARI", "ARI_all"} < set(system["identities"])
    assert {"params_sha256", "code", "weights", "trained_on", "seconds"} == set(result["provenance"])
    learned = {"gru_ae", "spcl_person", "ice_person", "pplr_person", "hhcl_person", "hhcl_shoe"}
    assert {"persons", "runners", "shoes"} | learned == set(result["provenance"]["weights"])
    assert learned == set(result["provenance"]["trained_on"])
    assert result["provenance"]["seconds"]["segment_persons"] > 0


def test_scenes_of_the_tiny_video_are_its_passages(finished):
    scenes = json.loads((finished.folder / TARGET).read_text())["scenes"]
    truth = pl.read_parquet(finished.folder / "data/labels/tiny/passes.parquet").filter("runner")
    assert scenes["labelled"] == truth.height > 0
    assert scenes["recall"] >= 0.75


def test_the_whole_graph_runs_without_any_weights(project):
    """The siblings of all that is learned, on a video of one runner at a time."""
    overlay = yaml.safe_load((ROOT / "docs/examples/no_weights.yaml").read_text())
    people = {"condition": "night", "seed": 5, "duration_s": 14, "runners": 1, "crowd": 1}
    project.overlay({**overlay, "practice": {"videos": {"tiny": people}}})
    done = project.snakemake(TARGET, "results/report_tiny.html")
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((project.folder / TARGET).read_text())
    assert list(result["systems"]) == overlay["evaluation"]["systems"] and not result["provenance"]["weights"]
    assert result["scenes"]["recall"] == 1


def test_a_second_run_has_nothing_to_do(finished):
    done = finished.snakemake(TARGET)
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout + done.stderr


@pytest.mark.parametrize(
    "change, rerun",
    [
        (
            {"shoes": {"yolov8": {"min_score": 0.3}}},
            {"detect_shoes", "extract_features", "compare_scenes", "rank_scenes", "assign_identities", "evaluate"},
        ),
        ({"identity": {"threshold": 0.8}}, {"rank_scenes", "assign_identities", "evaluate"}),
        ({"evaluation": {"bootstrap": 100}}, {"evaluate"}),
        ({"report": {"crops_per_runner": 5}}, set()),
    ],
)
def test_a_changed_parameter_reruns_only_what_depends_on_it(finished, change, rerun):
    finished.overlay(change)
    planned = finished.planned(TARGET)
    finished.overlay({})
    assert set(planned) - {"evaluate"} == rerun - {"evaluate"}
    if "identity" in change:
        assert planned["rank_scenes"] == 1  # hhcl_shoe_identities
    if "shoes" in change:
        assert planned["extract_features"] == 3  # shoe_hist, shoe_lab and hhcl_shoe


def test_a_second_snakemake_finds_the_folder_locked_and_a_killed_run_goes_on_where_it_was(finished):
    """Kill snakemake with everything it started in the middle of a run; nothing half-written is taken for whole."""
    results = finished.folder / "results/tiny"
    kept = (results / "persons.parquet").stat().st_mtime_ns
    made = [path for part in ("features", "similarity", "ranking", "identities") for path in results.glob(f"{part}/*")]
    for path in [*made, results / "shoes.parquet", results / "shoe_crops.parquet", finished.folder / TARGET]:
        path.unlink()
    running = subprocess.Popen(
        finished.command(TARGET),
        cwd=finished.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while running.poll() is None and not list((finished.folder / ".snakemake/locks").glob("*")):
        time.sleep(0.1)
    second = finished.snakemake(TARGET)
    assert second.returncode and "Directory cannot be locked" in second.stdout + second.stderr
    assert running.poll() is None
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    unlock = subprocess.run(
        [*finished.command()[:-1], "--unlock"], cwd=finished.folder, capture_output=True, text=True, timeout=120
    )
    assert unlock.returncode == 0, unlock.stderr
    done = finished.snakemake(TARGET)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (results / "persons.parquet").stat().st_mtime_ns == kept
    assert json.loads((finished.folder / TARGET).read_text())["systems"]
