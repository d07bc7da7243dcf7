"""The text of an error answer, found in whichever of the usual places it stands."""

import html
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any


def error_reason(body: Any) -> str:
    """Return the words of an error answer, as they stand there; "" where there are none.

    `body` is the answer's text or the value of its JSON. Of a web page it is the title, else the text that it shows. A
    proxy says little itself, and gives what its provider said as `metadata.raw`.
    """
    error, raw = _innermost(json_value(body))
    text = _plain_text(error) if error else ""
    return f"{text}: {raw}" if raw and raw not in text else text


def json_value(body: Any) -> Any:
    """Return the value of a text's JSON; what is no text, or no JSON, as it is."""
    if isinstance(body, str):
        with suppress(ValueError, RecursionError):
            return json.loads(body)
    return body


def error_within(answer: Any) -> tuple[int, Any] | None:
    """Return (status, error) that a whole answer holds in place of a reply, or its first choice does.

    `answer` is the value of its JSON. The status is 200 where the error gives none; None where there is no error.
    """
    choices = answer.get("choices") if isinstance(answer, Mapping) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    for place in (choice, answer):
        if isinstance(place, Mapping) and (error := place.get("error")):
            return _status(error, place), error
    broke_off = isinstance(choice, Mapping) and choice.get("finish_reason") == "error"
    return (200, "its provider failed") if broke_off else None


def _status(*places: Any) -> int:
    """Return the status of an error, as the first of `places` that names one has it; else 200."""
    for place in places:
        for name in ("code", "status", "status_code") if isinstance(place, Mapping) else ():
            value = place.get(name)
            text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
            if re.fullmatch(r"[45]\d\d", text, re.ASCII):
                return int(text)
    return 200


def _innermost(body: Any) -> tuple[Any, str]:
    """Return an error's text, or all of it where there is none, and the text that a proxy passes on."""
    raw = ""
    if isinstance(body, list) and len(body) == 1:  # as Gemini wraps its errors
        body = body[0]
    for name in ("error", "message", "detail"):
        if isinstance(body, Mapping):
            metadata = body.get("metadata")
            passed_on = metadata.get("raw") if isinstance(metadata, Mapping) else None
            raw = _plain_text(passed_on) if passed_on else raw
            body = body.get(name) or body
    return body, raw


def _plain_text(value: Any) -> str:
    if isinstance(value, str):
        return page_text(value) if is_page(value) else value
    try:
        return json.dumps(value, ensure_ascii=False)
    except (RecursionError, ValueError):
        return "an error that is nested too deep to be shown"


def is_page(text: str) -> bool:
    """Return whether a text is a web page, as proxies answer when the server behind them does not."""
    start = text.lstrip("\ufeff \t\r\n")[:200].lower()
    return start.startswith(("<!doctype", "<html", "<head", "<body", "<title", "<center", "<h1"))


def why_not_json(text: str) -> str:
    """Return what to say of an answer that is not JSON."""
    return f"the answer is a web page: {page_text(text)}" if is_page(text) else "the answer is not JSON, or cut short"


def page_text(page: str) -> str:
    """Return the title of a web page, else the text that it shows; "a web page without text" where there is none."""
    beginning = page[:_MAX_PAGE]
    title, text = _TITLE.search(beginning), _TAG.sub(" ", _NOT_SHOWN.sub(" ", beginning))
    texts = (" ".join(html.unescape(each).split()) for each in (title[1] if title else "", text.lstrip("\ufeff")))
    return next(filter(None, texts), "a web page without text")


_MAX_PAGE = 20_000
"""Characters; what a page has to say stands at its beginning."""
_TITLE = re.compile(r"<title[^<>]*>([^<]*)", re.IGNORECASE)
_NOT_SHOWN = re.compile(r"<(script|style)\b.*?(</\1>?|\Z)", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^<>]*>?")
