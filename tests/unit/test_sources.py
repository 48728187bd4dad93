"""Fetching: from a folder, from a server, and nothing left behind where it goes wrong."""

import hashlib
import http.server
import threading

import pytest

from runner_reid import sources
from runner_reid.errors import InputError

CONTENT = bytes(range(256)) * 9000
GIVEN = {"sha256": hashlib.sha256(CONTENT).hexdigest(), "size": len(CONTENT)}
NAME = "data/weights/net.pt"


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT, in as many wrong ways as the path asks for."""

    def do_GET(self):
        kind = self.path.split("/")[1]
        if kind == "nonsense":
            self.wfile.write(b"this is no HTTP\r\n\r\n")
            return
        self.send_response(404 if kind == "none" else 200)
        body = {"none": b"", "empty": b"", "longer": CONTENT + b"x", "other": CONTENT[::-1]}.get(kind, CONTENT)
        if kind != "streamed":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if kind == "half" else body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    """A web server on this machine; its address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A folder that holds the file; the working folder is another, empty one."""
    path = tmp_path / "mirror" / NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "mirror"


def left(mirror):
    """What lies in the working folder now."""
    here = mirror.parent / "here"
    return {str(path.relative_to(here)): path.read_bytes() for path in here.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "url, given",
    [
        ("", "{mirror}"),
        ("", "{mirror}/"),
        ("", "{server}/right"),
        ("{server}/right/net.pt", ""),
        ("{server}/streamed/net.pt", ""),
        ("{server}/right/net.pt", "/no/such/folder"),
        ("{server}/right/net.pt", "{server}/none"),
        ("{server}/right/net.pt", "{server}/half"),
        ("{server}/none/net.pt", "{mirror}"),
    ],
)
def test_a_file_comes_from_its_mirror_or_else_its_home(mirror, server, url, given):
    homes = {"mirror": mirror, "server": server}
    sources.fetch(NAME, url=url.format(**homes), mirror=given.format(**homes), **GIVEN)
    assert left(mirror) == {NAME: CONTENT}


@pytest.mark.parametrize(
    "kind, says",
    [
        ("empty", f"0 bytes instead of {len(CONTENT)}"),
        ("half", f"{len(CONTENT) // 2} bytes instead of"),
        ("longer", "more than .* bytes instead of"),
        ("other", "sha256 .* instead of"),
        ("none", "404"),
        ("nonsense", "this is no HTTP"),
    ],
)
@pytest.mark.parametrize("old", [None, b"old"])
def test_a_wrong_file_is_told_and_leaves_nothing_behind(mirror, server, kind, says, old):
    if old:
        (mirror.parent / "here" / NAME).parent.mkdir(parents=True)
        (mirror.parent / "here" / NAME).write_bytes(old)
    with pytest.raises(InputError, match=says) as error:
        sources.fetch(NAME, url=f"{server}/{kind}/net.pt", mirror="", **GIVEN)
    message = str(error.value)
    assert left(mirror) == ({NAME: old} if old else {})
    assert message.startswith(f"{NAME}: could not be fetched") and "\n" not in message
    assert GIVEN["sha256"] in message and str(len(CONTENT)) in message and "RUNNER_REID_MIRROR" in message


def test_where_the_size_is_not_known_the_sha256_decides(mirror, server):
    given = {"sha256": GIVEN["sha256"], "size": None, "mirror": ""}
    sources.fetch(NAME, url=f"{server}/right/net.pt", **given)
    assert left(mirror) == {NAME: CONTENT}
    with pytest.raises(InputError, match=r"sha256 .* instead of .* expected the sha256"):
        sources.fetch(NAME, url=f"{server}/longer/net.pt", **given)
    assert left(mirror) == {NAME: CONTENT}


@pytest.mark.parametrize(
    "change, says",
    [
        ({"size": len(CONTENT) - 1}, "more than"),
        ({"size": len(CONTENT) + 1}, "bytes instead of"),
        ({"sha256": "0" * 64}, "sha256 .* instead of 0000"),
        ({"mirror": "/no/such/folder"}, "/no/such/folder/data/weights/net.pt.*No such file"),
        ({"mirror": ""}, "no mirror and no url"),
        ({"mirror": "", "url": "http://127.0.0.1:9/net.pt"}, "refused"),
        ({"mirror": "", "url": "http:///net.pt"}, "no host"),
    ],
)
def test_every_failure_names_the_file_and_the_remedy(mirror, change, says):
    with pytest.raises(InputError, match=says) as error:
        sources.fetch(NAME, **{"url": "", "mirror": str(mirror), **GIVEN, **change})
    assert NAME in str(error.value) and "put the file there by hand" in str(error.value)
    assert left(mirror) == {}


@pytest.mark.shared
def test_the_pinned_weights_come_from_the_real_mirror(shared, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "data/weights/yolov8n-seg_dequant.pt"
    pinned = "3d59c661f3d05ad809d600fa775cb0c3eb05599b0d93abb442030c2664502016"
    sources.fetch(name, url="", sha256=pinned, size=13720543, mirror=str(shared))
    assert (tmp_path / name).stat().st_size == 13720543
