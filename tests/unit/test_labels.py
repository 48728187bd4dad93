"""Reading what a user knows about a session."""

import os
from pathlib import Path

import numpy as np
import pytest

from runner_reid.errors import InputError
from runner_reid.labels import BOXES, PASSES, is_runner, read_labels

VIDEOS = Path(os.environ.get("RUNNER_REID_MIRROR", Path(__file__).parents[3] / "shared")) / "data" / "videos"
SESSION = {
    "files": ["day1/a.mp4", "b.mp4"],
    "clip_start_s": [0.0, 10.0],
    "clip_end_s": [10.0, 16.0],
    "frame_time_s": np.arange(160) / 10,
}
HEADER = "file\tstart_s\tend_s\trunner\n"


@pytest.fixture
def read(tmp_path):
    def read(*texts: str | bytes):
        paths = [tmp_path / f"labels{number}.txt" for number in range(len(texts))]
        for path, text in zip(paths, texts, strict=True):
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_labels(paths, **SESSION)

    return read


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(HEADER, [], id="empty"),
        pytest.param(HEADER + "a.mp4\t\t\tann\n", [("ann", 0, 10)], id="whole clip"),
        pytest.param(HEADER + "b.mp4\t1\t2.5\tann\n", [("ann", 11, 12.5)], id="times of the clip"),
        pytest.param(HEADER + "b.mp4\t1\t\tann\nb.mp4\t\t3\tbob", [("ann", 11, 16), ("bob", 10, 13)], id="half"),
        pytest.param(HEADER + "\t\t\tann\n\t3\t12\tbob\n", [("ann", 0, 16), ("bob", 3, 12)], id="session"),
        pytest.param("runner\tnote\tend_s\tstart_s\tfile\nann\tlimps\t2\t1\ta.mp4\n", [("ann", 1, 2)], id="any order"),
        pytest.param("\ufeff" + HEADER.replace("\n", "\r\n") + "a.mp4\t\t\tann\r\n", [("ann", 0, 10)], id="Excel"),
    ],
)
def test_passes(read, text, expected):
    result = read(text)
    assert result.boxes is None
    assert result.passes.schema == PASSES
    assert result.passes.rows() == [(number, *row) for number, row in enumerate(expected)]


MOT = "1,4,10,20,5,8,1,-1,-1,-1\n3,4,11,20,5,8,1,-1,-1,-1\n2,7,0,0,2,2,0,-1,-1,-1\n"


@pytest.mark.parametrize(
    ("texts", "passes", "counted"),
    [
        pytest.param([""], [], [], id="empty"),
        pytest.param([MOT], [(4, "4", 0, 0.2), (7, "7", 0.1, 0.1)], [True, False, True], id="no identities"),
        pytest.param(
            [MOT, "track\tperson\n4\tann\n7\tbob\n9\teve\n"],
            [(4, "ann", 0, 0.2), (7, "bob", 0.1, 0.1)],
            [True, False, True],
            id="identities",
        ),
        pytest.param(
            ["track\trunner\n4\tann\n7\tann\n", MOT],
            [(4, "ann", 0, 0.2), (7, "ann", 0.1, 0.1)],
            [True, False, True],
            id="order of files is free",
        ),
        pytest.param(["1,4,10,20,5,8\n"], [(4, "4", 0, 0)], [True], id="no flag is counted"),
    ],
)
def test_boxes(read, texts, passes, counted):
    result = read(*texts)
    assert result.passes.schema == PASSES
    assert result.boxes.schema == BOXES
    assert result.passes.rows() == [pytest.approx(row) for row in passes]
    assert result.boxes["counted"].to_list() == counted


def test_boxes_are_corners_and_frames_count_from_0(read):
    assert read(MOT).boxes.row(0) == (0, 4, 10.0, 20.0, 15.0, 28.0, True)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "got no file; expected"),
        ([HEADER, HEADER], r"\(passes\).*\(passes\); expected"),
        ([HEADER, MOT], "expected one table of passes, or one MOT text"),
        (["track\tperson\n"], r"\(identities\); expected"),
        (["file\tstart_s\trunner\n"], "column end_s is missing"),
        ([b"\xff\xfe\x00"], "expected a text file in UTF-8"),
        ([HEADER + "a.mp4\t\tann\n"], "row 2 has 3 cells, expected 4"),
        ([HEADER + "c.mp4\t\t\tann\n"], "'c.mp4'; expected one of a.mp4, b.mp4"),
        ([HEADER + "a.mp4\t2\t2\tann\n"], "expected an end after the start"),
        ([HEADER + "a.mp4\tsoon\t2\tann\n"], "start_s 'soon'; expected seconds"),
        ([HEADER + "a.mp4\tnan\t2\tann\n"], "start_s 'nan'; expected seconds"),
        ([HEADER + "a.mp4\t\t\t \n"], "row 2 has no runner"),
        (["1,4,10,20,5\n"], "has 5 columns; expected MOT text"),
        (["1,4,10,20,5,x\n"], "expected MOT text"),
        (["161,4,10,20,5,8\n"], "frames from 161 to 161; expected 1 to 160"),
        (["0,4,10,20,5,8\n"], "frames from 0 to 0; expected 1 to 160"),
        (["1,-1,10,20,5,8\n"], "give the truth, not detections"),
        (["1,4,10,20,0,8\n"], "box without area"),
        (["1,4,10,20,5,8\n1,4,11,20,5,8\n"], "an id twice in one frame"),
        ([MOT, "track\tperson\n4\tann\n"], "names nobody for tracks 7"),
        ([MOT, "track\tperson\n4\tann\n4\tbob\n"], "row 3 is '4', 'bob'; expected a track number not given"),
        ([MOT, "track\tperson\nfour\tann\n"], "row 2 is 'four'"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(read, texts, message):
    with pytest.raises(InputError, match=message) as error:
        read(*texts)
    assert "\n" not in str(error.value)


@pytest.mark.shared
@pytest.mark.skipif(not VIDEOS.is_dir(), reason=f"no mirror of the videos at {VIDEOS}; set RUNNER_REID_MIRROR")
def test_real_labels():
    names = [f"a{number}.mp4" for number in range(1, 16) if number not in (9, 12)]
    starts = [10.0 * number for number in range(len(names))]
    ends = [start + 9 for start in starts]
    passes = read_labels([VIDEOS / "sprint" / "labels.tsv"], names, starts, ends, np.zeros(0)).passes
    assert passes.height == 11
    assert set(passes["runner"]) == {"white", "orange", "black"}
    pets = VIDEOS / "pets09-s2l1"
    found = read_labels([pets / "gt.txt", pets / "identities.tsv"], [], [], [], np.arange(795) / 10)
    assert (found.boxes.height, found.passes.height, found.passes["runner"].n_unique()) == (4650, 19, 10)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], []),
        (["runner1", "rugby12", "coach", "coach Ann", "7", ""], [True, False, False, True, True, False]),
        (np.array(["sprinter3", "white"]), [True, True]),
    ],
)
def test_is_runner(names, expected):
    result = is_runner(names, non_runners=["rugby", "coach"])
    assert result.dtype == bool
    assert result.tolist() == expected


@pytest.mark.parametrize("row", ["ann\tmany", "\t3", "ann\t-1"])
def test_appearances_that_cannot_be(tmp_path, row):
    passes, appearances = tmp_path / "passes.tsv", tmp_path / "appearances.tsv"
    passes.write_text("file\tstart_s\tend_s\trunner\n\t1\t2\tann\n")
    appearances.write_text(f"runner\tappearances\n{row}\n")
    with pytest.raises(InputError, match=r"row 2 is .*; expected a runner not given before.*; correct it"):
        read_labels([passes, appearances], [], [], [], np.zeros(0))
