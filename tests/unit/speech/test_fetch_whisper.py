"""Fetching a model, against a small model hub on this machine: the real client, over a real socket."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from huggingface_hub import constants

from tests.contract.tiny_whisper import make_tiny_whisper
from throughline.errors import Rejected, Unavailable
from throughline.speech.stt.fetch_whisper import NOTE, fetch_whisper
from throughline.speech.stt.whisper import is_whisper_model

pytestmark = pytest.mark.unit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "Systran/faster-whisper-tiny.en"


@dataclass
class Hub:
    """The part of the hub's protocol that a download needs. ``cut_after`` ends one answer early; ``lie`` damages the weights."""

    files: dict[str, bytes]
    cut_after: int | None = None
    lie: bool = False
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    url: str = ""

    def info(self) -> bytes:
        siblings = []
        for name, content in self.files.items():
            sibling: dict[str, object] = {"rfilename": name, "size": len(content), "blobId": hashlib.sha1(content).hexdigest()}  # noqa: S324
            if name == "model.bin":
                sibling["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
            siblings.append(sibling)
        return json.dumps({"id": REPOSITORY, "modelId": REPOSITORY, "sha": COMMIT, "siblings": siblings}).encode()


def handler_for(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def answer(self, *, with_body: bool) -> None:
            path = urlsplit(self.path).path
            hub.asked.append((self.command, path, self.headers.get("Range")))
            if path.startswith(f"/api/models/{REPOSITORY}"):
                known = path.endswith((REPOSITORY, COMMIT, "/main"))
                self.reply(200, hub.info()) if known else self.reply(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            elif path.startswith(f"/{REPOSITORY}/resolve/{COMMIT}/"):
                self.file(path.rsplit("/", 1)[1], with_body=with_body)
            else:
                self.reply(404, b"{}", {"X-Error-Code": "RepoNotFound"})

        def file(self, name: str, *, with_body: bool) -> None:
            content = hub.files[name]
            headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
            if hub.lie and name == "model.bin":
                content = bytes(len(content))
            start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
            if start:
                headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.reply(206 if start else 200, content[start:], headers, with_body=with_body)

        def reply(self, status: int, body: bytes, headers: dict[str, str] | None = None, *, with_body: bool = True) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            if not with_body:
                return
            if hub.cut_after is not None and len(body) > hub.cut_after:
                body = body[: hub.cut_after]
                self.close_connection = True
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet: the tests say what matters."""

    return Handler


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    source = make_tiny_whisper(tmp_path / "source")
    hub = Hub({path.name: path.read_bytes() for path in source.iterdir()} | {"README.md": b"not wanted"})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_for(hub))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    yield hub
    server.shutdown()
    server.server_close()


def test_a_model_arrives_whole_from_one_commit_and_is_noted(hub: Hub, tmp_path: Path) -> None:
    target = tmp_path / "models" / "tiny"
    fetch_whisper("tiny.en", target, endpoint=hub.url)
    assert is_whisper_model(target)
    assert (target / "model.bin").read_bytes() == hub.files["model.bin"]
    assert not (target / "README.md").exists()
    assert json.loads((target / NOTE).read_text()) == {"repository": REPOSITORY, "revision": COMMIT}
    assert all(COMMIT in path for _, path, _ in hub.asked if "/resolve/" in path)


def test_what_is_there_is_not_fetched_again(hub: Hub, tmp_path: Path) -> None:
    fetch_whisper("tiny.en", tmp_path / "tiny", endpoint=hub.url)
    hub.asked.clear()
    fetch_whisper(f"{REPOSITORY}@{COMMIT}", tmp_path / "tiny", endpoint=hub.url)
    assert not [path for method, path, _ in hub.asked if method == "GET" and "/resolve/" in path]


def test_a_cut_off_download_goes_on_where_it_stopped(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 65536)  # 10 MB, more than our whole model
    hub.cut_after = 300_000
    with pytest.raises(Unavailable, match="goes on where this stopped"):
        fetch_whisper("tiny.en", tmp_path / "tiny", endpoint=hub.url)
    hub.cut_after = None
    fetch_whisper("tiny.en", tmp_path / "tiny", endpoint=hub.url)
    assert (tmp_path / "tiny" / "model.bin").read_bytes() == hub.files["model.bin"]
    assert ("GET", f"/{REPOSITORY}/resolve/{COMMIT}/model.bin", "bytes=262144-") in hub.asked


@pytest.mark.parametrize(
    ("name", "reason"), [("huge", "unknown_model"), ("nobody/nothing", "unknown_model"), ("a/b/c", "unknown_model")]
)
def test_an_unknown_model_is_refused(hub: Hub, tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(Rejected) as refused:
        fetch_whisper(name, tmp_path / "tiny", endpoint=hub.url)
    assert refused.value.reason == reason


def test_an_unknown_revision_is_refused(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="unknown_model"):
        fetch_whisper("tiny.en@nowhere", tmp_path / "tiny", endpoint=hub.url)


def test_a_model_that_is_too_large_is_refused_before_it_is_fetched(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="too_large"):
        fetch_whisper("tiny.en", tmp_path / "tiny", endpoint=hub.url, most_bytes=1000)
    assert not [path for _, path, _ in hub.asked if "/resolve/" in path]


def test_something_that_is_no_whisper_model_is_refused(hub: Hub, tmp_path: Path) -> None:
    del hub.files["tokenizer.json"]
    with pytest.raises(Rejected, match=r"tokenizer\.json missing"):
        fetch_whisper("tiny.en", tmp_path / "tiny", endpoint=hub.url)


def test_damaged_weights_are_noticed_and_removed(hub: Hub, tmp_path: Path) -> None:
    hub.lie = True
    with pytest.raises(Rejected, match="damaged"):
        fetch_whisper("tiny.en", tmp_path / "tiny", endpoint=hub.url)
    assert not (tmp_path / "tiny" / "model.bin").exists()
    hub.lie = False
    fetch_whisper("tiny.en", tmp_path / "tiny", endpoint=hub.url)
    assert is_whisper_model(tmp_path / "tiny")


def test_without_a_network_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="copy DIR to"):
        fetch_whisper("tiny.en", tmp_path / "tiny", endpoint="http://127.0.0.1:9")
