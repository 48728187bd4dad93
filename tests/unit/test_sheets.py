"""What a user writes: read as it is meant, or refused in one line."""

import pytest

from runner_reid.errors import InputError
from runner_reid.sheets import check_params, check_sheet, read_sheet, video_files

HEADER = "video\tfiles\trole\n"


@pytest.mark.parametrize(
    "text, rows",
    [
        (HEADER, []),
        (HEADER + "a\tx.mp4\ttest\n", [("a", "x.mp4", "test")]),
        (HEADER + " a \t x y.mp4\t\n", [("a", "x y.mp4", "")]),
        ("# ours\n\n" + HEADER + "# one\na\tx.mp4\t30\n\nb\ty.mp4\t007", [("a", "x.mp4", "30"), ("b", "y.mp4", "007")]),
        ("\ufeff" + HEADER.replace("\n", "\r\n") + "a\tÜben.mp4\tNA\r\n", [("a", "Üben.mp4", "NA")]),
    ],
    ids=["empty", "one row", "blanks", "comments", "from a spreadsheet"],
)
def test_a_sheet_is_text(tmp_path, text, rows):
    (tmp_path / "sheet.tsv").write_bytes(text.encode())
    sheet = read_sheet(tmp_path / "sheet.tsv")
    assert list(sheet.columns) == ["video", "files", "role"]
    assert list(sheet.itertuples(index=False, name=None)) == rows


@pytest.mark.parametrize(
    "content, says",
    [
        (None, "cannot be read .No such file"),
        (b"", "is empty"),
        (b"\n# only words\n", "is empty"),
        (HEADER.encode() + b"a\tx.mp4\n", r"line 2 has 2 cells; expected 3 .*\(video, files, role\)"),
        (b"# why\n" + HEADER.encode() + b"\na\tb\tc\td\n", "line 4 has 4 cells"),
        (HEADER.encode() + b"a,x.mp4,test\n", "line 2 has 1 cells"),
        (HEADER.encode() + b"a\tb\tc\na\td\te\n", "video 'a' stands in two rows"),
        (HEADER.encode() + "a\tÜben.mp4\tc\n".encode("latin-1"), "expected a text file in UTF-8"),
    ],
)
def test_a_bad_sheet_is_told_in_one_line(tmp_path, content, says):
    path = tmp_path / "sheet.tsv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=says) as error:
        read_sheet(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


SCHEMA = """
type: object
additionalProperties: false
required: [video]
properties:
  video: {type: string, pattern: "^[a-z]+$"}
  role: {enum: [train, test]}
  deep: {type: object, properties: {size: {type: integer}}}
"""


@pytest.mark.parametrize(
    "params, says",
    [
        ({"video": "a"}, None),
        ({"video": "a", "role": "test", "deep": {"size": 3}}, None),
        ({}, "'video' is a required property"),
        ({"video": "A"}, "video: 'A' does not match"),
        ({"video": "a", "role": "Test"}, "role: 'Test' is not one of"),
        ({"video": "a", "deep": {"size": "3"}}, "deep.size: '3' is not of type"),
        ({"video": "a", "rolle": "test"}, "'rolle' is not known .did you mean 'role'"),
        ({"video": "a", "xyz": 1}, "'xyz' is not known .expected one of video, role, deep"),
    ],
)
def test_params_fit_their_schema(tmp_path, params, says):
    (tmp_path / "schema.yaml").write_text(SCHEMA)
    if says is None:
        assert check_params(params, tmp_path / "schema.yaml", name="params.yaml") == params
        return
    with pytest.raises(InputError, match=f"params.yaml: {says}.*; correct it and run again"):
        check_params(params, tmp_path / "schema.yaml", name="params.yaml")


@pytest.mark.parametrize(
    "roles, says", [([], None), (["test", "train"], None), (["test", "tset"], "row 3: role: 'tset'")]
)
def test_rows_fit_their_schema(tmp_path, roles, says):
    (tmp_path / "schema.yaml").write_text(SCHEMA)
    rows = "".join(f"{name}\t{role}\n" for name, role in zip("abc", roles, strict=False))
    (tmp_path / "sheet.tsv").write_text("video\trole\n" + rows)
    sheet = read_sheet(tmp_path / "sheet.tsv")
    if says is None:
        assert check_sheet(sheet, tmp_path / "schema.yaml", name="sheet.tsv") is sheet
        return
    with pytest.raises(InputError, match=f"sheet.tsv: {says}"):
        check_sheet(sheet, tmp_path / "schema.yaml", name="sheet.tsv")


@pytest.mark.parametrize(
    "pattern, known, expected",
    [
        ("none.mp4", [], ["none.mp4"]),
        ("a2.mp4", [], ["a2.mp4"]),
        ("a*.mp4", [], ["a1.mp4", "a2.mp4", "a10.mp4"]),
        ("take [[]1].mp4", [], ["take [1].mp4"]),
        ("take [1].mp4", [], ["take [1].mp4"]),
        ("b*.avi", [], ["b*.avi"]),
        ("a*.mp4", ["a3.mp4", "a2.mp4", "c.mp4"], ["a1.mp4", "a2.mp4", "a3.mp4", "a10.mp4"]),
        ("m².mp4", ["m².mp4"], ["m².mp4"]),
    ],
)
def test_the_files_of_a_session_are_in_the_order_of_their_numbers(tmp_path, monkeypatch, pattern, known, expected):
    monkeypatch.chdir(tmp_path)
    for name in ("a10.mp4", "a1.mp4", "a2.mp4", "take [1].mp4"):
        (tmp_path / name).touch()
    assert video_files(pattern, known=known) == expected
