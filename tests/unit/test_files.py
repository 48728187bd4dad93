"""Files appear whole or not at all."""

import stat

import pytest

from runner_reid.files import atomic_path, sha256


@pytest.mark.parametrize("old", [None, b"old"])
@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt, SystemExit])
def test_a_file_appears_whole_or_not_at_all(tmp_path, old, error):
    path = tmp_path / "folder" / "name.csv"
    if old is not None:
        path.parent.mkdir()
        path.write_bytes(old)
    try:
        with atomic_path(str(path)) as temporary:
            assert temporary.parent == path.parent and temporary.suffix == ".csv"
            temporary.write_bytes(b"new")
            assert not path.exists() if old is None else path.read_bytes() == old
            if error:
                raise error
    except BaseException as raised:
        assert type(raised) is error
    expected = old if error else b"new"
    assert [file.read_bytes() for file in path.parent.iterdir()] == [expected] * (expected is not None)


def test_others_may_read_it(tmp_path):
    with atomic_path(tmp_path / "a") as temporary:
        temporary.touch()
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o644


@pytest.mark.parametrize(
    "content, expected",
    [
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ],
)
def test_sha256(tmp_path, content, expected):
    (tmp_path / "a").write_bytes(content)
    assert sha256(tmp_path / "a") == sha256(str(tmp_path / "a")) == expected
