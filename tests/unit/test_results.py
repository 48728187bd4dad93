"""The end: JSON without NaN, the sums of seconds, and every score of a video."""

import json
import math

import numpy as np
import polars as pl
import pytest

from runner_reid import files, results, tables


@pytest.mark.parametrize("result", [{}, {"a": None, "b": [1, 0.5], "c": {"name": "Jürgen"}}])
def test_json_round_trips(tmp_path, result):
    results.write_json(result, tmp_path / "a.json")
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text) == result and text.endswith("\n") and ("Jürgen" in text) == ("c" in result)


@pytest.mark.parametrize("value", [math.nan, math.inf, np.float64("nan")])
def test_json_knows_no_nan(tmp_path, value):
    (tmp_path / "a.json").write_text("old")
    with pytest.raises(ValueError, match="Out of range"):
        results.write_json({"scores": [{"map": value}]}, tmp_path / "a.json")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_a_comparison_holds_figures_and_a_row_per_system():
    systems = {
        name: {"paper": {"mAP": 0.5}, "strict": {"mAP": None}, "identities": {"purity": {"0": 1.0}, "doubtful": []}}
        for name in ("gru", "hist")
    }
    result = {"video": "night", "scenes": {"found": 2}, "systems": systems, "provenance": {"seconds": {"evaluate": 1}}}
    assert results.comparison(result) == {
        "scenes": {"found": 2},
        "systems": {name: {"paper": {"mAP": 0.5}, "strict": {}, "identities": {}} for name in systems},
        "table": [{"system": name, "paper": 0.5, "strict": None} for name in systems],
    }


HEADER = "s\th:m:s\tmax_rss\n"


@pytest.mark.parametrize(
    "benchmarks, expected",
    [
        ({}, {}),
        ({"track_runners.tsv": HEADER + "1.5\t0:00:01\t10\n"}, {"track_runners": 1.5}),
        (
            {
                "segment_persons.1-of-2.tsv": HEADER + "10.25\t0:00:10\t-\n",
                "segment_persons.2-of-2.tsv": HEADER + "20.5\t0:00:20\t1\n",
                "evaluate.tsv": "h:m:s\ts\n0:00:03\t3.0\n",
            },
            {"evaluate": 3.0, "segment_persons": 30.75},
        ),
        ({"repeated.tsv": HEADER + "1\t\t\n2\t\t\n"}, {"repeated": 3.0}),
        ({"note.txt": "not a benchmark"}, {}),
    ],
    ids=["empty", "one job", "jobs of one rule", "repeats", "other files"],
)
def test_seconds_of_the_jobs_of_a_rule_are_added_up(tmp_path, benchmarks, expected):
    for name, text in benchmarks.items():
        (tmp_path / name).write_text(text)
    assert results.rule_seconds(tmp_path) == expected


def test_a_folder_without_benchmarks_has_no_seconds(tmp_path):
    assert results.rule_seconds(tmp_path / "none") == {}


@pytest.mark.parametrize("names", [[], ["all/persons.pt", "night/gru_ae.pt"]])
def test_weights_are_named_without_their_suffix(tmp_path, names):
    for name in names:
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(name)
    found = results.weights_sha256([str(tmp_path / name) for name in names])
    assert found == {name.split("/")[1][:-3]: files.sha256(tmp_path / name) for name in names}


def frames_of(clips: list[list[float]]) -> pl.DataFrame:
    """FRAMES of clips, each given by the times of its frames."""
    rows = [(file, place, time_s) for file, times_s in enumerate(clips) for place, time_s in enumerate(times_s)]
    return tables.FRAMES.frame(
        [
            {"frame": frame, "file": file, "file_frame": place, "pts": place, "time_s": time_s}
            | {"width": 1000, "height": 500, "motion": 1.0, "selected": True}
            for frame, (file, place, time_s) in enumerate(rows)
        ]
    )


def test_labels_are_in_the_time_of_the_session(tmp_path):
    path = tmp_path / "passes.tsv"
    path.write_text("file\tstart_s\tend_s\trunner\na.mp4\t\t\tkim\nb.mp4\t1\t2\tlou\n")
    frames = frames_of([[0.0, 1.0, 2.0], [10.0, 11.0, 12.0, 13.0]])
    labels = results.read_session_labels([str(path)], ["clips/a.mp4", "clips/b.mp4"], frames)
    assert labels.passes.select("runner", "start_s", "end_s").rows() == [("kim", 0.0, 2.0), ("lou", 11.0, 12.0)]


@pytest.fixture
def evaluated(tmp_path, params):
    """A function that evaluates a session of two people who pass in turn, seen in the first `scenes` passages."""
    passages, length, step_s = 6, 10, 0.1
    times_s = np.arange(passages * length) * step_s
    boxes = [(frame % length * 50.0, 100.0, frame % length * 50.0 + 60, 300.0) for frame in range(len(times_s))]
    lines = [
        f"{frame + 1},{frame // length + 1},{x1},{y1},{x2 - x1},{y2 - y1},1,-1,-1,-1"
        for frame, (x1, y1, x2, y2) in enumerate(boxes)
    ]
    (tmp_path / "gt.txt").write_text("\n".join(lines) + "\n")
    names = "".join(f"{passage + 1}\trunner{passage % 2}\n" for passage in range(passages))
    (tmp_path / "identities.tsv").write_text("track\trunner\n" + names)
    frames = frames_of([times_s.tolist()])
    paths = [str(tmp_path / name) for name in ("gt.txt", "identities.tsv")]
    labels = results.read_session_labels(paths, ["a.mp4"], frames)
    corners = dict(zip(("x1", "y1", "x2", "y2"), np.array(boxes, np.float32).reshape(-1, 4).T, strict=True))
    found = pl.DataFrame({"frame": pl.Series(range(len(times_s)), dtype=pl.Int32), **corners})

    def evaluate(scenes: int) -> dict:
        number = (pl.col("frame") // length).cast(pl.Int32)
        starts = np.arange(scenes) * length
        table = tables.SCENES.frame(
            {"scene": range(scenes), "track": range(scenes), "first_frame": starts, "last_frame": starts + length - 1}
            | {"start_s": starts * step_s, "end_s": (starts + length - 1) * step_s, "direction": ["right"] * scenes}
            | {"speed": [3.0] * scenes, "cadence": [170.0] * scenes}
        )
        scene = np.arange(scenes, dtype=np.int32)
        same = scene[:, None] % 2 == scene % 2
        ranking = {"scene": scene, "similarity": same * 0.9, "allowed": ~np.eye(scenes, dtype=bool)}
        ranking |= {"min_lap_s": np.array(30.0), "recurrence_s": np.array(np.nan)}
        sure = {"confidence": np.ones(scenes), "stranger": np.zeros(scenes), "doubt": np.where(scene == 2, "torn", "")}
        who = tables.IDENTITIES.frame({"scene": scene, "runner": scene % 2, **sure})
        return results.evaluate_video(
            "tiny",
            scenes=table,
            labels=labels,
            scene_boxes=found.with_columns(scene=number).filter(pl.col("scene") < scenes),
            track_boxes=found.with_columns(track=number).filter(pl.col("track") < scenes),
            rankings={"hist": ranking},
            identities={"hist": who},
            provenance={"code": "0"},
            **{
                name: value
                for name, value in params["evaluation"].items()
                if name not in ("systems", "published", "benchmark")
            },
        )

    return evaluate


@pytest.mark.parametrize("scenes", [0, 1, 6], ids=["nothing found", "one scene", "all found"])
def test_a_result_can_be_written(evaluated, tmp_path, scenes):
    result = evaluated(scenes)
    results.write_json(result, tmp_path / "eval.json")
    assert json.loads((tmp_path / "eval.json").read_text()) == json.loads(json.dumps(result))
    assert list(result) == ["video", "scenes", "tracking", "systems", "provenance"]
    assert set(result["systems"]["hist"]) >= {"paper", "strict", "identities"}


def test_a_perfect_result_is_perfect(evaluated):
    result = evaluated(6)
    scores = json.dumps(result["systems"]["hist"])
    assert result["systems"]["hist"]["strict"]["mAP"] == 1.0, scores
    assert result["systems"]["hist"]["identities"]["doubtful"] == [{"scene": 2, "why": "torn"}]
    assert result["systems"]["hist"]["paper"]["mAP"] == 1.0, scores
