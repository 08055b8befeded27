"""The fault language: what is read, what is refused, and which requests are struck."""

import random

import pytest

from scaleset_simulator.faults import ACTIONS, OF_RUNNERS, Fault, FaultError, Faults, parse_fault

VALUED = ("status", "status-after", "retry", "retry-date", "limit", "slow")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("mint:drop-after", Fault(kind="mint", action="drop-after")),
        ("mint:drop-after:5%", Fault(kind="mint", action="drop-after", probability=0.05)),
        ("*:status=503:every 7", Fault(kind="*", action="status", value=503, every=7)),
        ("*:status=503:every-7", Fault(kind="*", action="status", value=503, every=7)),
        ("poll:slow=2s:first 3", Fault(kind="poll", action="slow", value=2, first=3)),
        ("admin:unauthorised:once", Fault(kind="admin", action="unauthorised", first=1)),
        ("mint:retry=0.5@10+5", Fault(kind="mint", action="retry", value=0.5, start=10, length=5)),
        ("mint:bom:1%@10s+5s", Fault(kind="mint", action="bom", probability=0.01, start=10, length=5)),
        ("  slice:partial ", Fault(kind="slice", action="partial")),
    ],
)
def test_a_fault_is_read(text: str, fault: Fault) -> None:
    assert parse_fault(text) == fault


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_every_action_can_be_written(action: str) -> None:
    kind = "connect" if action in OF_RUNNERS else "mint"
    text = f"{kind}:{action}=500" if action in VALUED else f"{kind}:{action}"
    assert parse_fault(text).action == action


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected KIND:ACTION"),
        ("mint", "expected KIND:ACTION"),
        ("mint:drop-after:5%@10", "expected KIND:ACTION"),
        ("mint:explode", "unknown action 'explode'; expected one of bom"),
        ("mint:status", "status needs =VALUE"),
        ("connect:status=500", "`connect` goes with lives-on, never-online alone"),
        ("*:lives-on", "`connect` goes with lives-on, never-online alone"),
        ("mint:drop-after=3", "drop-after takes no =VALUE"),
        ("mint:html=200", "the status is 200; expected 400 to 599"),
        ("mint:drop-after:often", "how often is 'often'; expected 5%, every 7, first 3 or once"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_was_expected(text: str, said: str) -> None:
    with pytest.raises(FaultError) as refused:
        parse_fault(text)
    assert said in str(refused.value)
    assert repr(text) in str(refused.value)


def struck(texts: list[str], kinds: list[str], *, seed: int = 0, elapsed: float = 0.0) -> list[str | None]:
    faults = Faults(random.Random(seed), [parse_fault(text) for text in texts])
    found = [faults.strike(kind, elapsed) for kind in kinds]
    return [fault.action if fault else None for fault in found]


def test_every_nth_request_of_the_kind_is_struck() -> None:
    kinds = ["mint", "poll", "mint", "mint", "poll", "mint"]
    assert struck(["mint:bom:every 2"], kinds) == [None, None, "bom", None, None, "bom"]


def test_the_first_requests_are_struck() -> None:
    assert struck(["mint:bom:first 2"], ["mint"] * 4) == ["bom", "bom", None, None]


def test_a_star_strikes_every_kind_of_request_and_no_runner() -> None:
    assert struck(["*:bom"], ["mint", "connect", "poll"]) == ["bom", None, "bom"]


def test_the_first_fault_that_strikes_wins() -> None:
    assert struck(["mint:html:once", "mint:text"], ["mint", "mint"]) == ["html", "text"]


def test_a_share_is_about_that_share_and_the_same_for_the_same_seed() -> None:
    once = struck(["mint:bom:20%"], ["mint"] * 2000, seed=4)
    assert 300 < sum(1 for each in once if each) < 500
    assert once == struck(["mint:bom:20%"], ["mint"] * 2000, seed=4)
    assert once != struck(["mint:bom:20%"], ["mint"] * 2000, seed=5)


def test_a_share_of_nothing_strikes_nothing() -> None:
    assert struck(["mint:bom:0%"], ["mint"] * 500) == [None] * 500


@pytest.mark.parametrize(("elapsed", "action"), [(9.9, None), (10.0, "bom"), (14.9, "bom"), (15.0, None)])
def test_a_window_has_a_beginning_and_an_end(elapsed: float, action: str | None) -> None:
    assert struck(["mint:bom@10+5"], ["mint"], elapsed=elapsed) == [action]


def test_replaced_faults_count_anew_and_the_account_is_kept() -> None:
    faults = Faults(random.Random(0), [parse_fault("mint:bom:once")])
    assert faults.strike("mint", 0.0) is not None
    faults.set([parse_fault("mint:bom:once")])
    assert faults.strike("mint", 0.0) is not None
    assert faults.strike("mint", 0.0) is None
    assert faults.counts == {"bom": 2}
