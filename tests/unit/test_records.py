"""What is known of a run besides its result."""

from pathlib import Path

from runner_reid import records


def test_circumstances(tmp_path):
    assert set(records.circumstances(tmp_path)) == {"machine"}
    (tmp_path / "all.dvc").write_text("outs:\n- md5: abc.dir\n  path: all\n")
    assert records.tracked_versions([f"{tmp_path}/all.dvc"]) == {f"dvc.{tmp_path}/all": "abc.dir"}
    assert records.read_texts(tmp_path / "all.dvc", tmp_path / "absent").keys() == {"all.dvc"}


def test_versions_are_read_from_the_lock_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train, identify = (
        "  train:\n    outs:\n    - {path: data/weights/all, md5: a.dir}\n",
        "  identify@day:\n    outs:\n",
    )
    lock = f"schema: '2.0'\nstages:\n{train}{identify}    - {{path: results/day/identities, md5: b.dir}}\n"
    Path("dvc.lock").write_text(lock)
    assert records.tracked_versions(["dvc.lock"]) == {"dvc.data/weights/all": "a.dir"}


def test_cost_of_a_job_is_read_where_snakemake_wrote_one(tmp_path):
    path = tmp_path / "train_persons.tsv"
    path.write_text("s\th:m:s\tmax_rss\tmax_vms\tmean_load\n992.4\t0:16:32\t2820.7\t-\tNA\n")
    assert records.read_cost(path) == {"seconds": 992.4, "memory_usage_megabytes": 2820.7}
    assert records.read_cost(tmp_path / "absent.tsv") == {}
