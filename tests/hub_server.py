"""A stand-in for the Hugging Face hub on loopback: a folder of data sets and models, served by its file protocol."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from harness import network

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REVISIONS = ("main", COMMIT)
MODELS = "models"
LARGE = (".safetensors", ".parquet", ".bin")
"""What the hub keeps in its large-file storage, and sends by a redirect."""


class HubServer(ThreadingHTTPServer):
    """Serves `folder`/<owner>/<data set or space>/<file>, and `folder`/models/<owner>/<model>/<file>, at `url`.

    "main" and `COMMIT` are the revisions of each.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.requests: list[str] = []
        """Method and path of each request, in order."""
        self.failing = False
        """Set to answer every request with a server error."""
        self.gated: set[str] = set()
        """Repositories, as ``owner/name``, that are given to nobody."""

    def downloads(self) -> list[str]:
        """The paths of the files whose content was sent."""
        return [line.removeprefix("GET ") for line in self.requests if line.startswith("GET ") and "/resolve/" in line]


class _Handler(BaseHTTPRequestHandler):
    server: HubServer
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.requests.append(f"{self.command} {path}")
        if self.server.failing:
            return self._send(500)
        if path.startswith("/large/"):
            return self._send(200, (self.server.folder / path.removeprefix("/large/")).read_bytes())
        is_api = path.startswith("/api/")
        kind, *parts = path.removeprefix("/api").strip("/").split("/")
        if is_api and not parts:  # huggingface_hub asks what else the hub offers
            return self._send(404)
        if not is_api and kind not in ("datasets", "spaces"):  # a file of a model: /owner/name/resolve/...
            kind, parts = MODELS, [kind, *parts]
        owner, name, *rest = parts
        verb, revision, *inner = rest or ("revision", "main")
        repository = self.server.folder / (MODELS if kind == MODELS else ".") / owner / name
        if f"{owner}/{name}" in self.server.gated:
            return self._send(401, error="GatedRepo")
        if not repository.is_dir():
            return self._send(404, error="RepoNotFound")
        if revision not in REVISIONS:
            return self._send(404, error="RevisionNotFound")
        if verb == "revision":
            return self._send_json(_described(f"{owner}/{name}", repository))
        assert verb == ("tree" if is_api else "resolve")
        self._send_entry(repository, repository.joinpath(*inner), listing=is_api)

    def _send_entry(self, repository: Path, entry: Path, listing: bool) -> None:
        if listing and entry.is_dir():
            self._send_json([_listed(repository, path) for path in sorted(entry.iterdir())])
        elif entry.is_file() and not listing:
            self._send_file(entry)
        else:
            self._send(404, error="EntryNotFound")

    def _send_file(self, path: Path) -> None:
        content = path.read_bytes()
        if path.suffix not in LARGE:
            return self._send(200, content, {"X-Repo-Commit": COMMIT, "ETag": f'"{_digest(content)}"'})
        linked = {"X-Linked-ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Linked-Size": str(len(content))}
        # On another host, like the hub's: redirects within one are followed as if there were none.
        place = f"http://localhost:{self.server.server_port}/large/{path.relative_to(self.server.folder)}"
        self._send(302, b"", {"X-Repo-Commit": COMMIT, "Location": place, **linked})

    def _send_json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(
        self, status: int, content: bytes = b"", headers: Mapping[str, str] | None = None, error: str = ""
    ) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), **({"X-Error-Code": error} if error else {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)


def _described(name: str, repository: Path) -> dict[str, Any]:
    paths = sorted(path for path in repository.rglob("*") if path.is_file())
    siblings = [{"rfilename": str(path.relative_to(repository)), "size": path.stat().st_size} for path in paths]
    return {"id": name, "sha": COMMIT, "siblings": siblings}


def _listed(repository: Path, path: Path) -> dict[str, object]:
    entry: dict[str, object] = {"path": str(path.relative_to(repository)), "oid": _digest(path.name.encode())}
    return {"type": "directory", **entry} if path.is_dir() else {"type": "file", **entry, "size": path.stat().st_size}


def _digest(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


@contextmanager
def serving(folder: Path) -> Iterator[HubServer]:
    """A stand-in hub that serves `folder`, until the context ends."""
    server = HubServer(folder)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def use_hub(monkeypatch: pytest.MonkeyPatch, url: str, cache: Path) -> None:
    """Makes the hub at `url` the one that is asked, with its files kept in `cache` and no waiting between retries."""
    from huggingface_hub import constants
    from huggingface_hub.utils import _http

    monkeypatch.setenv("HF_ENDPOINT", url)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(_http, "time", SimpleNamespace(sleep=lambda seconds: None))


def way_offline(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Calling it keeps this process off the hub, until the test ends."""
    from huggingface_hub import constants

    def go() -> None:
        for name in network.OFFLINE_VARIABLES:
            monkeypatch.setenv(name, "0")  # so that it is put back
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        network.go_offline()

    return go
