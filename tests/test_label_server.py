"""The server that restricts a small model's replies to labels, between a client and another server."""

import json
import threading
from collections.abc import Iterator
from urllib.request import Request, urlopen

import pytest

from benchmarks.label_server import LABELS, server
from harness.records import WIN_OF_FIRST
from tests.chat_server import ChatServer


@pytest.fixture
def upstream() -> Iterator[ChatServer]:
    with ChatServer(models=("tiny",)) as upstream:
        yield upstream


@pytest.fixture
def url(upstream: ChatServer) -> Iterator[str]:
    serving = server(upstream.base_url, "tiny", 0)
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{serving.server_port}/v1"
    serving.shutdown()
    thread.join()
    serving.server_close()


def ask(url: str, **body: object) -> object:
    content = json.dumps({"messages": [{"role": "user", "content": "A or B?"}], **body}).encode()
    with urlopen(Request(f"{url}/chat/completions", content), timeout=10) as response:
        return json.load(response)["choices"][0]["message"]["content"]


def test_replies_are_restricted_to_the_labels_that_there_are(url: str, upstream: ChatServer) -> None:
    assert set(LABELS) == {f"[[{label}]]" for label in WIN_OF_FIRST}
    ask(url, model="tiny-labels", max_tokens=4096)
    [sent] = upstream.bodies
    assert (sent["model"], sent["structured_outputs"]) == ("tiny", {"choice": list(LABELS)})


def test_a_request_for_one_token_passes_as_it_is(url: str, upstream: ChatServer) -> None:
    assert ask(url, model="tiny-labels", max_tokens=1, logprobs=True, top_logprobs=5) in ("m", "M")
    [sent] = upstream.bodies
    assert "structured_outputs" not in sent and sent["top_logprobs"] == 5


def test_the_model_goes_by_another_name(url: str) -> None:
    with urlopen(f"{url}/models", timeout=10) as response:
        assert [entry["id"] for entry in json.load(response)["data"]] == ["tiny-labels"]
