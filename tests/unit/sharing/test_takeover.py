"""Who counts as dead: only a host whose silence was watched without a gap."""

from scaleset_burst.sharing.takeover import Watch


def test_a_host_whose_beats_do_not_move_for_a_lease_is_dead() -> None:
    watch = Watch(30.0)
    assert watch.silent({"a": "5", "me": "1"}, 0.0, but="me") == []
    for now in (10.0, 20.0, 29.0):
        assert watch.silent({"a": "5", "me": "1"}, now, but="me") == []
    assert watch.silent({"a": "5", "me": "1"}, 30.0, but="me") == [("a", "5")]


def test_a_beat_starts_the_lease_anew_and_so_does_a_gap_in_watching() -> None:
    watch = Watch(30.0)
    watch.silent({"a": "5"}, 0.0, but="me")
    for now in (10.0, 20.0, 30.0, 39.0):
        assert watch.silent({"a": "6"}, now, but="me") == []
    watch.interrupted()
    assert watch.silent({"a": "6"}, 45.0, but="me") == [], "Redis may have been away, and with it everybody's beats"
    for now in (55.0, 65.0, 74.0):
        assert watch.silent({"a": "6"}, now, but="me") == []
    assert watch.silent({"a": "6"}, 75.0, but="me") == [("a", "6")]


def test_who_was_paused_itself_calls_nobody_dead_for_it() -> None:
    watch = Watch(30.0)
    watch.silent({"a": "5"}, 0.0, but="me")
    watch.silent({"a": "5"}, 1.0, but="me")
    assert watch.silent({"a": "5"}, 100.0, but="me") == [], "the other one may have been paused with us"


def test_a_host_that_left_is_not_dead() -> None:
    watch = Watch(30.0)
    for now in (0.0, 10.0, 20.0):
        watch.silent({"a": "5"}, now, but="me")
    assert watch.silent({}, 29.0, but="me") == []
    assert watch.silent({"a": "5"}, 31.0, but="me") == []
