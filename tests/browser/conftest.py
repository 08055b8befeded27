"""Our pages in a real headless Chromium, at three widths, light and dark; each page is looked at when a test ends."""

import shutil
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WIDTHS = (390, 1024, 1600)
SCHEMES = ("light", "dark")
SCREENS = Path(__file__).parents[2] / "build" / "screens"
CHROMIUM = shutil.which("chromium")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the browser's tests out of `make test`; skip them by name where there is no Chromium."""
    absent = pytest.mark.skipif(CHROMIUM is None, reason="not installed: chromium (make browser installs it as root)")
    for item in items:
        if item.path.parent == Path(__file__).parent:
            for mark in (pytest.mark.slow, pytest.mark.browser, absent):
                item.add_marker(mark)


@pytest.fixture(scope="session")
def chromium() -> Iterator["Browser"]:
    """Return a running browser. Its sandbox is off, since root has none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed; make browser brings it")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(params=list(product(WIDTHS, SCHEMES)), ids=lambda shape: f"{shape[0]}-{shape[1]}")
def page(request: pytest.FixtureRequest, chromium: "Browser") -> Iterator["Page"]:
    """Return an empty page of one width and scheme.

    When the test ends a picture of the whole page goes to build/screens, and the test fails if the page has run off its
    width, asked anybody but this machine for anything, or printed an error.
    """
    width, scheme = request.param
    page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(f"the page raised {error}"))
    page.on("console", lambda said: wrong.append(f"the console says {said.text}") if said.type == "error" else None)
    page.on("request", lambda sent: None if local(sent.url) else wrong.append(f"the page asked {sent.url}"))
    yield page
    SCREENS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENS / f"{request.node.name}.png", full_page=True)
    wide = page.evaluate("document.documentElement.scrollWidth")
    page.close()
    assert wide <= width, f"the page is {wide} pixels wide on a screen of {width}"
    assert not wrong, wrong


def local(address: str) -> bool:
    """Tell whether an address leads nowhere but to this machine."""
    parts = urlsplit(address)
    return parts.scheme in {"data", "blob", "file", "about"} or parts.hostname in {"127.0.0.1", "localhost"}
