"""Who counts as dead: only a host whose silence was watched without a gap."""

from scaleset_burst.sharing.takeover import Watch


def test_a_host_whose_beats_do_not_move_for_a_lease_is_dead() -> None:
    watch = Watch(30.0)
    assert watch.look({"a": "5", "me": "1"}, 0.0, but="me") == []
    assert watch.look({"a": "5", "me": "1"}, 29.0, but="me") == []
    assert watch.look({"a": "5", "me": "1"}, 30.0, but="me") == [("a", "5")]


def test_a_beat_starts_the_lease_anew_and_so_does_a_gap_in_watching() -> None:
    watch = Watch(30.0)
    watch.look({"a": "5"}, 0.0, but="me")
    watch.look({"a": "6"}, 20.0, but="me")
    assert watch.look({"a": "6"}, 40.0, but="me") == []
    watch.interrupted()
    assert watch.look({"a": "6"}, 100.0, but="me") == [], "Redis may have been away, and with it everybody's beats"
    assert watch.look({"a": "6"}, 130.0, but="me") == [("a", "6")]


def test_a_host_that_left_is_not_dead() -> None:
    watch = Watch(30.0)
    watch.look({"a": "5"}, 0.0, but="me")
    assert watch.look({}, 40.0, but="me") == []
    assert watch.look({"a": "5"}, 41.0, but="me") == []
