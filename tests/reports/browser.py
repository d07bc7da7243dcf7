"""Pages in a real browser: an installed Chromium without a window, driven by playwright.

A test module that wants it says ``pytest_plugins = ["tests.reports.browser"]`` and takes the fixture `open_page`. The
browser starts once a module and not once a session: while playwright runs, no other test in the process could call
`asyncio.run`.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
MISSING = (
    f"needs Chromium: `apt-get install chromium`, or set CHROMIUM to one (looked for {', '.join(NAMES)} on the PATH)"
)

OpenPage = Callable[..., "Page"]


def chromium_path() -> str | None:
    """The browser that $CHROMIUM names, or else the first of `NAMES` on the PATH."""
    named = os.environ.get("CHROMIUM")
    return next((path for name in ([named] if named else NAMES) if (path := shutil.which(name))), None)


@contextmanager
def launched(path: str) -> Iterator["Browser"]:
    """A running browser."""
    from playwright.sync_api import sync_playwright

    sandbox = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []  # root cannot have one
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=sandbox)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator["Browser"]:
    """A running browser, shared by the tests of a module; skips where there is none."""
    path = chromium_path()
    if path is None:
        pytest.skip(MISSING)
    with launched(path) as browser:
        yield browser


@pytest.fixture
def open_page(chromium: "Browser", tmp_path: Path) -> Iterator[OpenPage]:
    """Opens HTML from a file: ``open_page(html, fragment="#x", width=360, dark=True)``.

    Afterwards the test fails where a page wrote an error or a warning to the console, threw one, opened a dialog or
    asked for anything but itself, unless it was opened with ``faulty=True``. Other keywords go to the browser context.
    """
    problems: list[str] = []
    contexts = []

    def watch(page: "Page", url: str) -> None:
        page.on("pageerror", lambda error: problems.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (problems.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on(
            "console",
            lambda message: message.type in ("error", "warning") and problems.append(f"{message.type}: {message.text}"),
        )
        page.on(
            "request",
            lambda request: request.url.partition("#")[0] != url and problems.append(f"request: {request.url[:200]}"),
        )

    def opened(
        html: str,
        *,
        fragment: str = "",
        width: int = 1280,
        height: int = 800,
        dark: bool = False,
        faulty: bool = False,
        **options: Any,
    ) -> "Page":
        file = tmp_path / f"page{len(contexts)}.html"
        file.write_text(html, encoding="utf-8")
        context = chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", **options
        )
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        if not faulty:
            watch(page, file.as_uri())
        page.goto(file.as_uri() + fragment)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert problems == []
