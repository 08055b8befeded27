"""The page for people: everything in words, everything escaped, and never longer than one can read."""

import dataclasses
import re

import pytest

from scaleset_simulator.faults import ACTIONS, Fault, parse_fault
from scaleset_simulator.gauge import Gauge
from scaleset_simulator.statuspage import MOST_SHOWN, Status, fault_in_words, page

OTHERS = ("registrations", "max_registrations_in_window", "duplicate_names", "jobs_open", "jobs_finished")
STATUS = Status(
    config_url="http://127.0.0.1:8080/acme",
    token="simulator-token",  # the simulator's own
    elapsed=3725.9,
    counted=Gauge().value() | dict.fromkeys(OTHERS, 0) | {"faults": {}},
    lately={},
    scale_sets=[(1, "linux")],
    runners=[],
    jobs=(),
    faults=[],
)


def shown(**changes: object) -> dict[str, str]:
    """Return the text of each section of the page, markup replaced by spaces."""
    text = page(dataclasses.replace(STATUS, **changes)).decode()  # type: ignore[arg-type]
    parts = re.findall(r"<section id=([a-z-]+)[^>]*>(.*?)</section>", text)
    return {name: " ".join(re.sub(r"<[^>]*>", " ", part).split()) for name, part in parts}


def test_a_simulator_that_did_nothing_yet_says_so_in_words() -> None:
    parts = shown()
    assert parts["connection"] == (
        "Give your host these config URL http://127.0.0.1:8080/acme copy token simulator-token copy runs for 1 h 2 min"
    )
    assert parts["scale-sets"].endswith("linux (1) 0 0 0 0 0 0")
    assert (parts["requests"], parts["answers"], parts["faults"]) == (
        "Requests none yet", "Answers none yet", "Faults none set",
    )  # fmt: skip
    assert not any(dump in "".join(parts.values()) for dump in ("{", "None", "Counter("))


def test_jobs_and_runners_are_counted_by_scale_set_and_state() -> None:
    jobs = [(1, "queued"), (1, "offered"), (1, "assigned"), (2, "running")]
    runners = [("a", 1, "offline", 5.0), ("b", 2, "busy", 65.0), ("c", 2, "online", 5.0), ("d", 2, "online", 5.0)]
    parts = shown(scale_sets=[(1, "linux"), (2, "arm")], jobs=jobs, runners=runners)
    assert "linux (1) 2 1 0 1 0 0 arm (2) 0 0 1 0 2 1" in parts["scale-sets"]
    assert "Runners: 4" in parts["runners"]
    assert "offline (booting, or never came) 1 online, idle 2 busy 1" in parts["runners"]
    assert "b arm busy 1 min 5 s" in parts["runners"]


def test_requests_stand_with_the_most_in_a_second_the_last_minute_and_all() -> None:
    counted = {**STATUS.counted, "requests": {"poll": 3, "mint": 30}}
    text = page(dataclasses.replace(STATUS, counted=counted, lately={"mint": [0, 20, 5]})).decode()
    assert 'aria-label="25 in the last minute, at most 20 in a second"' in text
    assert 'd="M1 20v-20h.8V20zM2 20v-5h.8V20z"' in text, "a bar for each second with requests, to scale"
    parts = shown(counted=counted, lately={"mint": [0, 20, 5]})
    assert parts["requests"].endswith("mint 20 25 30 poll 0 0 3")


def test_every_text_from_outside_is_escaped() -> None:
    bad = "<script>alert(1)</script>\"'&"
    counted = {**STATUS.counted, "requests": {bad: 1}, "statuses": {bad: 1}, "faults": {bad: 1}}
    text = page(
        dataclasses.replace(
            STATUS,
            config_url=bad,
            token=bad,
            counted=counted,
            scale_sets=[(1, bad)],
            runners=[(bad, 1, "busy", 0.0)],
            faults=[Fault(kind=bad, action="bom")],
        )
    ).decode()
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#x27;&amp;") == 9
    assert text.count("<script>") == 1, "the page's own"


def test_long_lists_are_cut_and_say_so() -> None:
    runners = [(f"runner-{number}", 1, "offline", 1.0) for number in range(MOST_SHOWN + 7)]
    faults = [parse_fault("mint:bom")] * (MOST_SHOWN + 1)
    parts = shown(runners=runners, scale_sets=[(n, f"set-{n}") for n in range(MOST_SHOWN + 2)], faults=faults)
    assert parts["runners"].endswith("and 7 more")
    assert f"runner-{MOST_SHOWN}" not in parts["runners"]
    assert parts["scale-sets"].endswith("and 2 more")
    assert parts["faults"].endswith("and 1 more")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mint:drop-after:5%", ("committed, then the connection is cut", "5% of them", "from the start")),
        ("mint:retry=30:every 50", ("429, retry after 30 s", "every 50.", "from the start")),
        ("*:status=503@10+5", ("answered 503, nothing committed", "always", "from 10 s, for 5 s")),
        ("mint:html=502:once", ("an HTML page for a body, with status 502", "once", "from the start")),
        ("mint:slow=2s:first 3@4+1", ("2 s slower", "the first 3", "from 4 s, for 1 s")),
    ],
)
def test_a_fault_stands_in_words(text: str, words: tuple[str, str, str]) -> None:
    assert fault_in_words(parse_fault(text)) == words


def test_every_action_has_words() -> None:
    assert all(fault_in_words(Fault(kind="mint", action=action))[0] for action in ACTIONS)
