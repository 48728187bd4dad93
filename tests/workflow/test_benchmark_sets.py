"""A set of pictures from the tar file to its score, with the real snakemake."""

import json
import tarfile

import cv2
import numpy as np
import pytest

ROWS = (
    "video\tfiles\tcondition\trole\tmin_lap_s\tsource\tlabels\n"
    "market\tdata/reid/set.tar\tmarket\ttest\t\tbenchmark\t\n"
    "market_train\tdata/reid/set.tar\tmarket\ttrain\t\tbenchmark\t\n"
)
SMALL = {"backbone": "test_efficientnet.r160_in1k", "initial": "random", "last_stride": 1, "level": 5}
NAMES = ("lite", "hhcl_market")
LOOK = {"network": SMALL, "size": [32, 16]}
OVERLAY = {
    "evaluation": {"benchmark": {"train_identities": 4, "test_identities": 3}},
    "extractors": {"lite": LOOK, "hhcl_market": LOOK},
    "training": {
        "hhcl_market": {
            "fit": LOOK
            | {
                "clusters": {"k1": 8, "k2": 2, "eps": 0.7, "min_samples": 2},
                "batches": {"clusters": 2, "each": 4},
                "schedule": {"epochs": 2, "iterations": 3},
            }
        }
    },
}


@pytest.fixture(scope="module")
def scored(tmp_path_factory, project_in):
    project = project_in(tmp_path_factory.mktemp("benchmark"))
    (project.folder / "sheet.tsv").write_text(ROWS)
    project.overlay(OVERLAY)
    rng = np.random.default_rng(0)
    (project.folder / "data/reid").mkdir()
    with tarfile.open(project.folder / "data/reid/set.tar", "w") as archive:
        for person in range(1, 9):
            colour = rng.integers(0, 256, 3)
            for number in range(8):
                name = f"{person:04d}_c{number % 3 + 1}s1_{number:06d}_00.jpg"
                picture = np.clip(colour + rng.integers(-10, 10, (32, 16, 3)), 0, 255).astype(np.uint8)
                (project.folder / name).write_bytes(cv2.imencode(".jpg", picture)[1].tobytes())
                archive.add(project.folder / name, arcname=f"bounding_box_train/{name}")
    targets = [f"results/eval_market_{name}.json" for name in NAMES]
    targets += [f"results/mlflow/receipts/eval_market_{name}.json" for name in NAMES]
    done = project.snakemake(*targets)
    assert done.returncode == 0, done.stdout + done.stderr
    return project, targets


def test_the_score_says_what_was_learned_from(scored):
    project, _ = scored
    for name, trained_on in zip(NAMES, ({}, {"hhcl_market": "market"}), strict=True):
        result = json.loads((project.folder / f"results/eval_market_{name}.json").read_text())
        assert result["provenance"]["trained_on"] == trained_on
        assert set(result["provenance"]["weights"]) == set(trained_on)
        scores = result["systems"][name]["retrieval"]
        assert scores["queries"] == 9 and scores["gallery"] == 15 and 0 < scores["mAP"] <= 1


def test_the_weights_have_a_card_and_a_history(scored):
    project, _ = scored
    card = json.loads((project.folder / "results/weights/market/hhcl_market.json").read_text())
    assert {"results/market_train/images.parquet"} < {entry["path"] for entry in card["data"]}
    assert not any("/market/" in entry["path"] for entry in card["data"])
    history = (project.folder / "results/weights/market/hhcl_market.csv").read_text().splitlines()
    assert history[0].startswith("epoch,loss,clusters,outliers") and len(history) == 3


def test_nothing_is_left_to_do(scored):
    project, targets = scored
    done = project.snakemake(*targets)
    assert "Nothing to be done" in done.stdout + done.stderr


def test_a_whole_run_leaves_benchmarks_alone(scored):
    project, _ = scored
    done = project.snakemake("all", dry=True)
    assert done.returncode == 0 and "benchmark" not in done.stdout.split("Job stats")[-1]
