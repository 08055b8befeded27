"""How many runners a call needs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleset_burst.minting.demand import MOST_LIVE, Fleet, check_count, needed, surplus
from scaleset_hookspecs import ProvisionSettings, ScaleSetRef, UsageError

numbers = st.integers(min_value=0, max_value=2000)


def test_without_a_demand_the_count_stands() -> None:
    """A host that gives no demand is taken at its word."""
    assert needed(7, None, live=100, under_way=100) == 7


@given(count=st.integers(1, 500), desired=numbers, live=numbers, under_way=numbers)
def test_a_demand_is_never_overshot(count: int, desired: int, live: int, under_way: int) -> None:
    """What is live, under way and new together never exceed the demand, unless they did before."""
    new = needed(count, desired, live, under_way)
    assert 0 <= new <= count
    assert new == 0 or live + under_way + new <= desired


@given(desired=st.integers(1, 300), repeats=st.integers(1, 10))
def test_repeating_a_demand_mints_it_once(desired: int, repeats: int) -> None:
    """The same demand k times needs N in total."""
    minted = 0
    for _ in range(repeats):
        minted += needed(desired, desired, live=minted, under_way=0)
    assert minted == desired


@given(desired=numbers, live=numbers, under_way=numbers)
def test_a_fall_cancels_only_what_is_under_way(desired: int, live: int, under_way: int) -> None:
    """What was delivered is never cancelled; what remains fits the demand where it can, and no less."""
    cancelled = surplus(desired, live, under_way)
    assert 0 <= cancelled <= under_way
    left = live + under_way - cancelled
    assert left == max(live, min(desired, live + under_way))


def test_an_ended_runner_makes_room() -> None:
    """A runner counts until its end is reported, by name or by id."""
    fleet = Fleet()
    fleet.add("a", 1, 0.0)
    fleet.add("b", 2, 0.0)
    fleet.drop("a", None)
    fleet.drop(None, 2)
    fleet.drop("never-seen", 99)
    assert len(fleet) == 0


def test_a_silent_host_is_not_refused_for_ever() -> None:
    """Runners that no list shows and that two looks by name miss leave the fleet; young ones are not doubted."""
    fleet = Fleet()
    fleet.add("old", 1, 0.0)
    fleet.add("kept", 2, 0.0)
    fleet.add("young", 3, 95.0)
    assert fleet.unlisted(["KEPT"], now=100.0, grace=60.0) == ["old"]
    fleet.looked_up("old", 100.0, 30.0, there=False)
    assert set(fleet.names) == {"old", "kept", "young"}
    fleet.looked_up("old", 160.0, 30.0, there=False)
    assert set(fleet.names) == {"kept", "young"}


@pytest.mark.parametrize("how", ["named", "listed"])
def test_a_look_that_shows_a_runner_ends_the_doubt(how: str) -> None:
    """One look that misses a runner is no proof, nor are two with one between them that shows it."""
    fleet = Fleet()
    fleet.add("live", 1, 0.0)
    for now in range(100, 1000, 100):
        fleet.looked_up("live", float(now), 30.0, there=False)
        if how == "named":
            fleet.looked_up("live", now + 50.0, 30.0, there=True)
        else:
            assert fleet.unlisted(["Live"], now + 50.0, 0.0) == []
    assert set(fleet.names) == {"live"}
    assert not fleet.missed_at


def test_a_roster_is_bounded() -> None:
    """A host that never reports the end of its runners does not fill the memory."""
    fleet = Fleet()
    for number in range(2 * MOST_LIVE):
        fleet.add(f"r{number}", number, float(number))
    assert len(fleet) == len(fleet.ids) == MOST_LIVE
    assert f"r{2 * MOST_LIVE - 1}" in fleet.names


@given(st.text(st.characters(categories=["Cs", "Cc", "L"]), min_size=1, max_size=4))
def test_a_work_folder_is_one_line_of_whole_characters(folder: str) -> None:
    """Half a character became `?` on the wire, or the `UnicodeEncodeError` of whoever asked."""
    settings = ProvisionSettings(work_folder=folder)
    if folder.isprintable():
        check_count(ScaleSetRef(name="linux"), 1, settings)
        folder.encode()
    else:
        with pytest.raises(UsageError, match="work_folder"):
            check_count(ScaleSetRef(name="linux"), 1, settings)
