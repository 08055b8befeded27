"""The site of the documentation, as `make docs` left it in build/site: read, searched, and no link on it is dead."""

from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

SITE = Path(__file__).parents[2] / "build" / "site"

pytestmark = pytest.mark.skipif(
    not (SITE / "index.html").exists(), reason="not built: build/site (make docs builds it)"
)


class Quiet(SimpleHTTPRequestHandler):
    """Serves files without saying so."""

    def log_message(self, *_values: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """Return the address of the site, served on loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(SITE))) as server:
        serving = Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        serving.join()


def dead(links: list[str], site: str) -> list[str]:
    """Return those of the links to pages of the site that lead to no file, or to no place in it."""
    found = []
    for link in links:
        parts = urlsplit(link)
        if not link.startswith(site):
            continue
        file = SITE / unquote(parts.path).lstrip("/")
        file = file / "index.html" if file.is_dir() else file
        missing = not file.is_file()
        if missing or (parts.fragment and f'id="{unquote(parts.fragment)}"' not in file.read_text(encoding="utf-8")):
            found.append(link)
    return found


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("", "scaleset-burst"),
        ("how-to/simulate/", "Simulate the service - scaleset-burst"),
        ("reference/api/client/", "API: the client - scaleset-burst"),
    ],
    ids=["index", "how-to", "api"],
)
def test_a_page_is_read_and_searched_and_leads_somewhere(page: "Page", site: str, path: str, title: str) -> None:
    page.goto(f"{site}{path}")
    assert page.title() == title
    assert page.locator("article h1").is_visible()
    links = page.eval_on_selector_all("a[href]", "links => links.map(link => link.href)")
    assert sum(link.startswith(site) for link in links) > 20
    assert dead(links, site) == []
    assert dead([f"{site}nowhere/", f"{site}#nowhere"], site) == [f"{site}nowhere/", f"{site}#nowhere"]
    opener = page.locator("label.md-header__button[for=__search]")
    if opener.is_visible():  # on a phone
        opener.click()
    box = page.get_by_placeholder("Search")
    box.focus()
    box.press_sequentially("simulator")
    # Each letter is a search of its own: until more of them is answered, the first result is that of "s".
    page.locator(".md-search-result__link").first.filter(has_text="simulator").wait_for()
    page.goto(f"{site}{path}")  # what slides away when a search ends is wider than a phone for a moment
