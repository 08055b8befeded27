"""The counters: what was in flight, and who came though told to wait."""

from scaleset_simulator.gauge import Gauge


def test_the_most_in_flight_is_kept_for_mints_and_for_all() -> None:
    gauge = Gauge()
    for kind in ("mint", "slice", "poll"):
        gauge.begin(kind, 0.0)
    for kind in ("mint", "slice", "poll"):
        gauge.end(kind, 200)
    gauge.begin("mint", 0.0)
    counted = gauge.value()
    assert (counted["in_flight"], counted["most_in_flight"], counted["most_mints_in_flight"]) == (1, 3, 2)
    assert counted["requests"] == {"mint": 2, "slice": 1, "poll": 1}
    assert counted["statuses"] == {"200": 3}


def test_a_mint_that_comes_before_its_time_is_held_against_the_client() -> None:
    gauge = Gauge(grace=0.05)
    gauge.begin("mint", 1.0)
    gauge.told_to_wait(1.0, 5.0)
    gauge.begin("mint", 1.05)
    gauge.begin("slice", 5.9)
    gauge.begin("mint", 6.0)
    counted = gauge.value()
    assert (counted["requests_while_told_to_wait"], counted["crossed_while_told"]) == (1, 1)


def test_what_was_received_before_is_not_held_against_the_client_nor_are_other_requests() -> None:
    gauge = Gauge()
    for _ in range(10):
        gauge.begin("mint", 1.0)
    gauge.told_to_wait(1.0, 5.0)
    gauge.begin("poll", 2.0)
    gauge.begin("remove_runner", 2.0)
    assert gauge.value()["requests_while_told_to_wait"] == 0


def test_a_later_word_prolongs_the_wait_and_an_earlier_end_does_not_shorten_it() -> None:
    gauge = Gauge()
    gauge.told_to_wait(1.0, 10.0)
    gauge.told_to_wait(1.0, 2.0)
    gauge.begin("mint", 8.0)
    assert gauge.value()["requests_while_told_to_wait"] == 1
    assert gauge.value()["refused"] == 2


def test_connections_are_counted_made_open_and_most() -> None:
    gauge = Gauge()
    gauge.connected()
    gauge.connected()
    gauge.disconnected()
    gauge.connected()
    counted = gauge.value()
    assert (counted["connections"], counted["connections_open"], counted["most_connections_open"]) == (3, 2, 2)


def test_after_a_reset_only_what_is_open_or_in_flight_counts() -> None:
    gauge = Gauge()
    gauge.connected()
    for _ in range(3):
        gauge.begin("mint", 0.0)
    gauge.end("mint", 200)
    gauge.reset()
    counted = gauge.value()
    assert counted["requests"] == counted["statuses"] == {}
    assert (counted["connections"], counted["connections_open"], counted["most_in_flight"]) == (0, 1, 2)
    assert counted["most_mints_in_flight"] == 2


def test_the_requests_of_the_last_seconds_are_kept_by_kind_and_no_more_than_those() -> None:
    gauge = Gauge()
    for now, kind in ((100.0, "poll"), (100.9, "mint"), (100.9, "mint"), (158.2, "mint"), (159.0, "mint")):
        gauge.begin(kind, now)
    assert gauge.lately(159.5) == {"poll": [1, *[0] * 59], "mint": [2, *[0] * 57, 1, 1]}
    assert gauge.lately(160.0) == {"mint": [*[0] * 57, 1, 1, 0]}, "what is older than a minute is gone"
    for second in range(200, 1200):
        gauge.begin("poll", second)
    assert gauge.lately(1199.9) == {"poll": [1] * 60}
    assert len(gauge.recent) == 60
    gauge.reset()
    assert gauge.lately(1199.9) == {}
