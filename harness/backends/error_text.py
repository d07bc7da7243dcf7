"""What the body of an error answer says is wrong, in whichever of the usual places."""

import json
from collections.abc import Mapping
from contextlib import suppress
from html.parser import HTMLParser
from typing import Any


def said(body: Any) -> str:
    """Return the words of an error answer, as they stand there; "" where there are none.

    `body` is the answer's text or the value of its JSON. Of a web page it is the title, else the text that it shows.
    """
    if isinstance(body, str):
        with suppress(ValueError, RecursionError):
            body = json.loads(body)
    error = error_object(body)
    if isinstance(error, str):
        return page_text(error) if is_page(error) else error
    return _as_json(error) if error else ""


def error_object(body: Any) -> Any:
    """Return what is innermost of the usual wrappings of an error: its text, or all of it where there is no text."""
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    for name in ("error", "message", "detail"):
        if isinstance(body, Mapping):
            body = body.get(name) or body
    return body


def is_page(text: str) -> bool:
    """Return whether a text is a web page, as proxies answer when the server behind them does not."""
    start = text.lstrip("\ufeff \t\r\n")[:200].lower()
    return start.startswith(("<!doctype", "<html", "<head", "<body", "<title", "<center", "<h1"))


def why_not_json(text: str) -> str:
    """Return what to say of an answer that is not JSON."""
    return f"the answer is a web page: {page_text(text)}" if is_page(text) else "the answer is not JSON, or cut short"


def page_text(page: str) -> str:
    """Return the title of a web page, else the text that it shows; "a web page without text" where there is none."""
    reader = _PageReader()
    with suppress(AssertionError):  # what the parser raises for some declarations that are none
        reader.feed(page.lstrip("\ufeff")[:_LONGEST_PAGE])
        reader.close()
    title, shown = (" ".join("".join(parts).split()) for parts in (reader.title, reader.shown))
    return title or shown or "a web page without text"


_LONGEST_PAGE = 20_000
"""Characters; what a page has to say stands at its beginning."""


class _PageReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title: list[str] = []
        self.shown: list[str] = []
        self._into: list[str] | None = self.shown

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag == "title":
            self._into = self.title
        elif tag in ("script", "style"):
            self._into = None
        else:
            self.shown.append(" ")

    def handle_endtag(self, tag: str) -> None:
        self._into = self.shown

    def handle_data(self, data: str) -> None:
        if self._into is not None:
            self._into.append(data)


def _as_json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except (RecursionError, ValueError):
        return "an error that is nested too deep to be shown"
