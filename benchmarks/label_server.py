"""Makes a judge of a model that is too small to reach a verdict: restricts its replies to Arena-Hard's five labels.

Stands between harness and a vLLM server, whose structured outputs do the work. Requests for one token, as AlpacaEval
2.0's, pass as they are. The model goes by another name here, so that no result of it is taken for one without this:

    python benchmarks/label_server.py --upstream http://127.0.0.1:8000/v1 --model smollm2 --port 8124

serves `smollm2-labels`. It makes replies readable, not right: `harness judge check` says what they are worth.
"""

import argparse
import json
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

LABELS = ("[[A>>B]]", "[[A>B]]", "[[A=B]]", "[[B>A]]", "[[B>>A]]")
MAX_LABEL = 16
"""Tokens: enough for a label in any tokenizer."""


def restricted(body: dict[str, Any], model: str) -> dict[str, Any]:
    """The request as the vLLM server gets it."""
    body = {**body, "model": model}
    if body.get("max_tokens") == 1:
        return body
    return {**body, "max_tokens": MAX_LABEL, "structured_outputs": {"choice": list(LABELS)}}


def server(upstream: str, model: str, port: int) -> ThreadingHTTPServer:
    """A server on this machine that is ready to run."""
    at = urlsplit(upstream)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(200, json.dumps({"object": "list", "data": [{"id": f"{model}-labels"}]}).encode())

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            connection = HTTPConnection(at.hostname or "", at.port)
            try:
                headers = {"content-type": "application/json"}
                content = json.dumps(restricted(body, model)).encode()
                connection.request("POST", f"{at.path}/chat/completions", content, headers)
                response = connection.getresponse()
                self._answer(response.status, response.read())
            except OSError as error:
                self._answer(502, json.dumps({"error": {"message": f"{upstream}: {error}"}}).encode())
            finally:
                connection.close()

        def _answer(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Says nothing of requests that went well."""

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upstream", default="http://127.0.0.1:8000/v1", help="the vLLM server")
    parser.add_argument("--model", default="smollm2", help="its model")
    parser.add_argument("--port", type=int, default=8124)
    given = parser.parse_args()
    server(given.upstream, given.model, given.port).serve_forever()
