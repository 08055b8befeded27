"""Which runners are ghosts: only what is known to be one."""

import random
from dataclasses import replace

import pytest

from scaleset_burst.cli.pruning import Ghosts
from scaleset_burst.minting.names import draw_names, is_drawn
from scaleset_burst.settings import Settings
from scaleset_client import Runner

NOW = 1_000_000.0
DRAWN = draw_names("linux", 1, random.getrandbits)[0]
GHOST = Runner(id=1, name=DRAWN, scale_set_id=7, status="offline", busy=False, created_at=NOW - 3600)
WANTED = Ghosts(settings=Settings(), scale_sets={7: "linux", 8: "mac"}, only=None, prefix=None, older_than=3600)


def test_a_ghost_is_offline_ours_and_old() -> None:
    assert WANTED.why_it_stays(GHOST, NOW) is None


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"busy": True}, "have a job"),
        ({"busy": True, "status": "online"}, "have a job"),
        ({"status": "online"}, "are online"),
        ({"status": "Online", "busy": None}, "are online"),
        ({"status": None}, "have a state that is not known"),
        ({"status": "7"}, "have a state that is not known"),
        ({"created_at": NOW - 3599}, "are younger than 1h"),
        ({"created_at": NOW + 60}, "are younger than 1h"),
        ({"created_at": None}, "have an age that is not known"),
        ({"name": "somebody-else"}, "have the name of somebody else"),
        ({"name": f"{DRAWN}x"}, "have the name of somebody else"),
        ({"name": DRAWN.replace("linux", "mac")}, "have the name of somebody else"),
        ({"scale_set_id": 8}, "have the name of somebody else"),
        ({"scale_set_id": 9}, "have the name of somebody else"),
        ({"scale_set_id": None}, "belong to no scale set"),
    ],
)
def test_anything_else_stays_and_says_why(change: dict[str, object], why: str) -> None:
    assert WANTED.why_it_stays(replace(GHOST, **change), NOW) == why  # type: ignore[arg-type]


def test_a_prefix_makes_names_ours_and_nothing_else() -> None:
    wanted = replace(WANTED, prefix="Old-")
    named = replace(GHOST, name="old-17")
    assert wanted.why_it_stays(named, NOW) is None
    assert wanted.why_it_stays(replace(named, busy=True), NOW) == "have a job"
    assert wanted.why_it_stays(replace(named, scale_set_id=None), NOW) == "belong to no scale set"
    assert wanted.why_it_stays(GHOST, NOW) is None


def test_one_scale_set_can_be_named_in_any_case() -> None:
    assert replace(WANTED, only="LINUX").why_it_stays(GHOST, NOW) is None
    assert replace(WANTED, only="mac").why_it_stays(GHOST, NOW) == "belong to another scale set"


def test_without_an_age_to_reach_none_need_be_known() -> None:
    assert replace(WANTED, older_than=0.0).why_it_stays(replace(GHOST, created_at=None), NOW) is None


def test_names_that_are_drawn_are_known_by_their_form() -> None:
    for prefix in ("linux", "Linux GPU", "x" * 80, ""):
        assert all(is_drawn(name, prefix) for name in draw_names(prefix, 50, random.getrandbits))
    assert not is_drawn("linux-0123456789abc", "linux")  # 0, 1, 8 and 9 are never drawn
