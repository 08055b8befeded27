"""The simulator's page, used as a person does: read it, copy from it, watch it renew itself."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from scaleset_client import ScaleSetClient, TokenCredentials
from scaleset_simulator import SimulatorProcess

if TYPE_CHECKING:
    from playwright.sync_api import Page

LONG = "a-scale-set-with-a-name-as-long-as-people-give-them-" + "x" * 60
MARKUP = "<img src=x onerror=alert(1)>"


@pytest.fixture
def simulator() -> Iterator[SimulatorProcess]:
    """Return a simulator that outlives the page."""
    with SimulatorProcess(latency="5ms", job_seconds=600, scale_set=["demo-linux", LONG, MARKUP]) as running:
        yield running


def mint(simulator: SimulatorProcess, count: int, prefix: str = "linux") -> list[str]:
    """Mint JIT configs of `demo-linux` with the client; a fault may keep some of them away."""

    async def run() -> list[str]:
        credentials = TokenCredentials(token=simulator.token)
        async with ScaleSetClient(simulator.config_url, credentials) as client:
            (found,) = [one for one in await client.list_scale_sets() if one.name == "demo-linux"]
            asked = (client.generate_jit_config(found.id, f"{prefix}-{number}") for number in range(count))
            done = await asyncio.gather(*asked, return_exceptions=True)
            return [one.encoded_jit_config for one in done if not isinstance(one, BaseException)]

    with ThreadPoolExecutor(1) as beside:  # the browser's own loop runs on this thread
        return beside.submit(asyncio.run, run()).result()


def rows(page: "Page", section: str) -> list[list[str]]:
    """Return the cells of a section's rows."""
    found: list[list[str]] = page.eval_on_selector_all(
        f"#{section} tr", "rows => rows.map(row => [...row.cells].map(cell => cell.innerText.trim()))"
    )
    return found


def test_it_shows_what_was_asked_for_and_what_became_of_it(simulator: SimulatorProcess, page: "Page") -> None:
    simulator.faults(["mint:drop-after:once", "*:status=503:5%@900+60"])
    configs = mint(simulator, 30)
    for config in configs[:2]:
        simulator.control("POST", "connect", {"jit": config})
    simulator.control("POST", "runners", {"scale_set": "demo-linux", "names": ["at-work"], "state": "busy"})
    simulator.add_jobs("demo-linux", 4)
    page.goto(f"{simulator.url}/")
    assert page.locator("#config-url").inner_text() == simulator.config_url
    assert page.locator("#token").inner_text() == simulator.token
    counted = simulator.counters()
    requests = {cells[0]: (cells[3], cells[4]) for cells in rows(page, "requests")[1:]}
    assert counted["requests"]["mint"] == 30
    assert requests == {kind: (str(count), str(count)) for kind, count in counted["requests"].items()}
    assert page.locator("#requests svg path").count() == len(requests)
    assert page.get_by_role("img", name="30 in the last minute").is_visible()
    sets = rows(page, "scale-sets")[2:]
    assert [cells[0] for cells in sets] == ["demo-linux (1)", f"{LONG} (2)", f"{MARKUP} (3)"], "markup is text here"
    assert sets[0][1:] == ["4", "0", "0", "28", "2", "1"]
    states = [cells[1] for cells in rows(page, "runners")[1:4]]
    assert states == ["28", "2", "1"]
    answers = {cells[0]: cells[1] for cells in rows(page, "answers")[1:]}
    assert answers["no answer"] == "1"
    assert answers["200 OK"] == str(counted["statuses"]["200"])
    assert rows(page, "faults")[1:3] == [
        ["mint", "committed, then the connection is cut", "once", "from the start"],
        ["all", "answered 503, nothing committed", "5% of them", "from 900 s, for 60 s"],
    ]
    assert ["registrations", "31"] in rows(page, "counters")


def test_it_renews_itself_and_lets_the_reader_read(simulator: SimulatorProcess, page: "Page") -> None:
    page.set_viewport_size({"width": page.evaluate("innerWidth"), "height": 300})
    page.goto(f"{simulator.url}/")
    page.evaluate("window.loaded = 'once'; scrollTo(0, 100); getSelection().selectAllChildren(faults.children[0])")
    mint(simulator, 7)
    simulator.faults(["poll:bom"])
    page.get_by_role("heading", name="Runners: 7").wait_for()
    assert ["registrations", "7"] in rows(page, "counters")
    assert rows(page, "faults") == [], "a part in which text is selected is left alone"
    assert page.evaluate("[window.loaded, scrollY, String(getSelection()).trim()]") == ["once", 100, "Faults"]
    page.evaluate("getSelection().removeAllRanges()")
    page.get_by_text("a byte order mark before the body").wait_for()


def test_config_url_and_token_are_copied(simulator: SimulatorProcess, page: "Page") -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{simulator.url}/")
    for what, expected in (("config-url", simulator.config_url), ("token", simulator.token)):
        page.locator(f"button[value={what}]").click()
        page.locator(f"button[value={what}]:text('copied')").wait_for()
        assert page.evaluate("navigator.clipboard.readText()") == expected
    page.locator("button[value=token]:text('copy')").wait_for()


def test_a_page_whose_simulator_is_gone_says_so(simulator: SimulatorProcess, page: "Page") -> None:
    page.goto(f"{simulator.url}/")
    page.route("**/*", lambda route: route.fulfill(body="another program's answer"))
    page.get_by_text("The simulator does not answer").wait_for()
    assert page.locator("#token").inner_text() == simulator.token
    page.unroute_all()
    page.get_by_text("Renews itself each second").wait_for()
