"""What a look-up of a name that went astray means."""

from hypothesis import given
from hypothesis import strategies as st

from scaleset_burst.github.types import Runner
from scaleset_burst.minting.strays import LOOKS, Step, Stray, after_conflict, after_failure, after_look

STRAY = Stray(name="set-abc", scale_set_id=42, since=100.0)
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
    stray = Stray(name="set-abc", scale_set_id=42, since=0.0, careful=careful)
    step, _ = after_look(stray, runner(scale_set, busy=busy, status=status), now=1.0)
    if step is Step.REMOVE:
        assert scale_set == 42
        assert not busy
        assert (status or "").lower() != "online"
        assert not careful or status == "offline"
    else:
        assert step is Step.CLOSED


def test_an_unused_runner_of_ours_is_removed_by_its_id() -> None:
    """Found in our scale set, neither busy nor online: it is the leftover of a lost response."""
    step, stray = after_look(STRAY, runner(busy=False, status="offline"), now=101.0)
    assert step is Step.REMOVE
    assert stray.runner_id == 7


def test_absence_is_believed_only_after_the_last_look() -> None:
    """A commit may still be under way, so the first absences only postpone."""
    stray, now, looks = STRAY, STRAY.since, 0
    while True:
        step, stray = after_look(stray, None, now)
        looks += 1
        if step is Step.CLOSED:
            break
        assert stray.next_at > now
        now = stray.next_at
    assert now - STRAY.since >= LOOKS[-1]
    assert looks == len(LOOKS) + 1


def test_a_runner_with_a_job_is_left_alone_in_the_end() -> None:
    """`JobStillRunning` postpones, and after enough of them the runner is somebody's."""
    stray = STRAY
    steps = []
    for turn in range(50):
        step, stray = after_conflict(stray, 100.0 + turn)
        steps.append(step)
        if step is Step.CLOSED:
            break
    assert steps[-1] is Step.CLOSED
    assert len(steps) > 2


@given(retry_after=st.one_of(st.none(), st.floats(0, 3600)), jitter=st.floats(0, 1), looks=st.integers(0, 40))
def test_a_failed_look_waits_at_least_as_long_as_told(retry_after: float | None, jitter: float, looks: int) -> None:
    """No look before Retry-After, and never a tight loop."""
    stray = Stray(name="x", scale_set_id=1, since=0.0, looks=looks)
    later = after_failure(stray, 10.0, retry_after, lambda: jitter)
    assert later.next_at - 10.0 >= max(retry_after or 0.0, 0.24) - 1e-6
