"""What a look-up of a name that went astray means."""

from hypothesis import given
from hypothesis import strategies as st

from scaleset_burst.limits.admission import CERTAIN
from scaleset_burst.minting.unresolved import (
    OUTAGE,
    SETTLED,
    Answering,
    Step,
    UnresolvedMint,
    after_failure,
    after_list,
    after_lookup,
    after_refusal,
)
from scaleset_client.types import Runner

UNRESOLVED = UnresolvedMint(name="set-abc", scale_set_id=42)
statuses = st.one_of(st.none(), st.sampled_from(["online", "offline", "Online", "idle", ""]))


def runner(scale_set_id: int | None = 42, *, busy: bool | None = None, status: str | None = None) -> Runner:
    """Make a runner as a look-up returns it."""
    return Runner(id=7, name="set-abc", scale_set_id=scale_set_id, busy=busy, status=status)


@given(
    scale_set=st.one_of(st.none(), st.integers(1, 50)),
    busy=st.sampled_from([None, True, False]),
    status=statuses,
    careful=st.booleans(),
)
def test_only_what_is_provably_ours_and_unused_is_removed(
    scale_set: int | None, busy: bool | None, status: str | None, careful: bool
) -> None:
    """Another scale set's, a busy or an online runner is never removed; careful wants the word `offline`."""
    mint = UnresolvedMint(name="set-abc", scale_set_id=42, careful=careful)
    step, _ = after_lookup(mint, runner(scale_set, busy=busy, status=status), 1.0)
    if step is Step.REMOVE:
        assert scale_set == 42
        assert not busy
        assert (status or "").lower() != "online"
        assert not careful or status == "offline"
    else:
        assert step is Step.TAKEN


def test_an_unused_runner_of_ours_is_removed_by_its_id() -> None:
    """Found in our scale set, neither busy nor online: it is the leftover of a lost response."""
    step, mint = after_lookup(UNRESOLVED, runner(busy=False, status="offline"), 101.0)
    assert step is Step.REMOVE
    assert mint.runner_id == 7


Miss = tuple[str, float]


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["miss", "fail", "outage", "list"]), st.floats(0.0, 130.0)), min_size=1, max_size=30
    )
)
def test_absence_takes_looks_by_name_that_all_missed_it_for_long(steps: list[Miss]) -> None:
    """Nothing closes it but misses by name over `CERTAIN`, no outage among them, no failure in the last of it."""
    mint, now, run, answering, failed_at = UNRESOLVED, 100.0, list[float](), float("-inf"), float("-inf")
    for what, passes in steps:
        now += passes
        if what == "fail":
            mint, failed_at = after_failure(mint, now, 0.0, lambda: 0.5), now
        elif what == "outage":
            now += 1.0
            answering, run = now, []
        elif what == "list":
            mint = after_list(mint, now)
        else:
            run.append(now)
            step, mint = after_lookup(mint, None, now, answering_since=answering)
            if step is Step.CLOSED:
                assert len(run) >= 2
                assert run[-1] - run[0] >= CERTAIN
                assert now - failed_at >= SETTLED - 1e-6
                return
            assert mint.next_at > now


@given(since=st.floats(0.0, 100.0), after=st.floats(0.0, 300.0))
def test_a_list_spares_no_look_that_decides(since: float, after: float) -> None:
    """A name that was never looked for, or whose last look is due, is looked for whatever a list leaves out."""
    assert after_list(UNRESOLVED, since) is UNRESOLVED
    _, missed = after_lookup(UNRESOLVED, None, since)
    later = after_list(missed, since + after)
    assert later.next_at <= since + CERTAIN
    assert later.missed_since == since


def test_an_outage_is_seconds_without_an_answer_whoever_asked() -> None:
    """Failures among answers, however many, begin nothing anew; seconds without any answer do, for every name."""
    answering = Answering()
    for now in range(20):
        for _ in range(5):
            answering.failed(now, now, 0.0, lambda: 0.5)
        assert answering.unavailable
        answering.answered(now + 0.5)
    assert (answering.unavailable, answering.since) == (False, float("-inf"))
    answering.failed(100.0, 101.0, 0.0, lambda: 0.5)
    answering.answered(100.0 + OUTAGE)
    assert answering.since == 100.0 + OUTAGE


def test_one_hung_look_among_answers_is_no_outage() -> None:
    """It was asked long ago, but others were answered since."""
    answering = Answering()
    answering.answered(99.0)
    answering.failed(60.0, 100.0, 0.0, lambda: 0.5)
    answering.answered(100.5)
    assert answering.since == float("-inf")


def test_who_must_be_careful_looks_again_before_each_removal() -> None:
    """A removal that failed is not repeated by id: the machine may have started meanwhile."""
    found = UnresolvedMint(name="set-abc", scale_set_id=42, runner_id=7, careful=True, found=True)
    for later in (after_failure(found, 1.0, 0.0, lambda: 0.5), after_refusal(found, 1.0, lambda: 0.5)):
        assert later.runner_id is None
        assert later.found


def test_a_refused_removal_is_tried_again_more_and_more_seldom() -> None:
    """`JobStillRunning` costs the service a transaction each time (protocol 8.5)."""
    mint, waits = UNRESOLVED, []
    for _ in range(12):
        mint = after_refusal(mint, 0.0, lambda: 0.5)
        waits.append(mint.next_at)
    assert waits[0] >= 30.0
    assert waits == sorted(waits)
    assert waits[-1] <= 600.0


@given(retry_after=st.floats(0, 3600), jitter=st.floats(0, 1), failures=st.integers(0, 40))
def test_a_failed_look_waits_at_least_as_long_as_told(retry_after: float, jitter: float, failures: int) -> None:
    """No look before Retry-After, and never a tight loop."""
    mint = UnresolvedMint(name="x", scale_set_id=1, failures=failures)
    later = after_failure(mint, 10.0, retry_after, lambda: jitter)
    assert later.next_at - 10.0 >= max(retry_after, 0.24) - 1e-6
