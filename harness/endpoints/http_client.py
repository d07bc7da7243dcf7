"""The SDK's HTTP client, for endpoints that may be odd: an answer is bounded, and no other host is asked."""

import asyncio
from typing import TYPE_CHECKING, Any

from openai import DefaultAsyncHttpxClient

from harness.endpoints.credentials import redact
from harness.errors import UserError

if TYPE_CHECKING:
    from httpx2 import URL, Request, Response

_MAX_REDIRECTS = 5
_MAX_ERROR_BYTES = 2**18
"""What is read of an error answer: its message stands at its beginning."""
_SLOWEST_UPLOAD = 2**15
"""Bytes a second for which a request has time besides."""
_OF_ENCODING = ("content-encoding", "content-length", "transfer-encoding")


class UnboundedAnswer(Exception):
    """An answer that is longer, or takes longer, than a reply can; the message says which."""


class BoundedClient(DefaultAsyncHttpxClient):
    """The SDK's asynchronous client: an answer has at most `most_bytes` once decompressed, and comes within `seconds`.

    None means that the caller bounds the time. `endpoint` and `key` are for errors: what it is called, and what they
    must not show.
    """

    def __init__(self, endpoint: str, key: str, most_bytes: int, seconds: float | None, **settings: Any) -> None:
        super().__init__(**settings)
        self._endpoint, self._key, self._most_bytes, self._seconds = endpoint, key, most_bytes, seconds

    async def send(self, request: "Request", *, stream: bool = False, **settings: Any) -> "Response":
        """Send a request; its answer is read whole. Raises UnboundedAnswer, and UserError for a redirect elsewhere.

        A header that comes letter by letter passes every timeout of a socket; not that of the whole.
        """
        seconds = self._seconds
        if seconds is not None:
            seconds += int(request.headers.get("content-length", 0)) / _SLOWEST_UPLOAD
        try:
            async with asyncio.timeout(seconds):
                return await self._send_all(request, settings)
        except TimeoutError:
            raise UnboundedAnswer(f"no whole answer within {seconds:g} s") from None

    async def _send_all(self, request: "Request", settings: dict[str, Any]) -> "Response":
        settings["follow_redirects"] = False
        for _ in range(_MAX_REDIRECTS):
            response = await super().send(request, stream=True, **settings)
            try:
                if response.next_request is None:
                    return await self._whole(response)
                request = self._next_request(response)
            finally:
                await response.aclose()
        raise UserError(f"{self._endpoint} redirects more than {_MAX_REDIRECTS} times: check its base URL")

    async def _whole(self, response: "Response") -> "Response":
        """Return `response` with its body, decompressed; it is UTF-8, as JSON is, whatever the header says.

        Of an error answer the beginning is read. Raises UnboundedAnswer for another that is too long.
        """
        is_error = response.status_code >= 400
        body = bytearray()
        async for piece in response.aiter_bytes():
            body += piece
            if is_error and len(body) >= _MAX_ERROR_BYTES:
                break
            if not is_error and len(body) > self._most_bytes:
                raise UnboundedAnswer(f"the answer is longer than any reply can be ({self._most_bytes:,} bytes)")
        headers = {name: value for name, value in response.headers.items() if name.lower() not in _OF_ENCODING}
        headers["content-type"] = headers.get("content-type", "").partition(";")[0]
        return type(response)(response.status_code, headers=headers, content=bytes(body), request=response.request)

    def _next_request(self, response: "Response") -> "Request":
        """Return the request that a redirect asks for.

        Raises UserError for one to another host: the prompts would go there.
        """
        request = response.next_request
        assert request is not None
        origin = _origin(request.url)
        if origin == _origin(response.request.url):
            return request
        redacted = redact(redact(origin, self._key), self._key.lower())  # hosts are in small letters
        raise UserError(
            f"{self._endpoint} redirects to {redacted}, and prompts are sent to no other server than the one that is"
            " named: if that one is right, give its base URL"
        )


def _origin(url: "URL") -> str:
    return f"{url.scheme}://{url.netloc.decode('ascii').rpartition('@')[2]}"
