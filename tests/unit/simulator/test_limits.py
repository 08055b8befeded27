"""What the service bears, over a real socket: registrations, capacity, latency, token steps."""

import threading

from scaleset_simulator import SimulatorProcess
from tests.unit.simulator.wire import AGENTS, SETS, Reply, Wire


def burst(wire: Wire, count: int) -> list[Reply]:
    """Mint so many at the same time."""
    number = wire.scale_set()
    replies: list[Reply] = []
    barrier = threading.Barrier(count)

    def one(index: int) -> None:
        barrier.wait()
        replies.append(wire.mint(f"r-{index}", number))

    threads = [threading.Thread(target=one, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return replies


def test_registrations_over_the_limit_are_429_with_the_time_to_wait() -> None:
    with SimulatorProcess(registrations=3, window="100s") as simulator:
        wire = Wire(simulator).log_in()
        number = wire.scale_set()
        replies = [wire.mint(f"r-{index}", number) for index in range(5)]
        assert [reply.status for reply in replies] == [200, 200, 200, 429, 429]
        assert 90 <= int(replies[3].headers["retry-after"]) <= 101
        counted = simulator.counters()
        assert counted["registrations"] == counted["max_registrations_in_window"] == len(simulator.runners()) == 3


def test_room_comes_back_on_the_simulators_clock() -> None:
    with SimulatorProcess(registrations=1, window="100s", speed=1000) as simulator:
        wire = Wire(simulator).log_in()
        number = wire.scale_set()
        made = 0
        for attempt in range(5000):
            made += wire.mint(f"r-{attempt}", number).status == 200
            if made == 3:
                break
        assert made == 3
        assert simulator.counters()["max_registrations_in_window"] == 1


def test_a_slice_stops_where_the_limit_is() -> None:
    with SimulatorProcess(registrations=2, slices="on") as simulator:
        wire = Wire(simulator).log_in()
        items = wire.send(
            "POST", f"{SETS}/{wire.scale_set()}/generatejitconfig", [{"name": name} for name in "abc"]
        ).value["value"]
        assert ["runner" in one for one in items] == [True, True, False]
        assert (items[2]["name"], items[2]["status"]) == ("c", 429)


def test_a_mint_sent_though_told_to_wait_is_counted() -> None:
    with SimulatorProcess(registrations=1, speed=100, window="1h") as simulator:
        wire = Wire(simulator).log_in()
        number = wire.scale_set()
        assert [wire.mint(name, number).status for name in ("a", "b")] == [200, 429]
        for _ in range(200):
            wire.mint("c", number)
            if simulator.counters()["requests_while_told_to_wait"]:
                break
        assert simulator.counters()["requests_while_told_to_wait"] == 1


def test_a_full_group_says_so() -> None:
    with SimulatorProcess(group_capacity=1) as simulator:
        wire = Wire(simulator).log_in()
        assert wire.mint("a").status == 200
        reply = wire.mint("b")
        assert (reply.status, "max limit of 1 runners" in reply.value["message"]) == (422, True)


def test_capacity_and_latency_are_changed_while_it_runs_and_overload_is_refused_before_the_commit() -> None:
    with SimulatorProcess() as simulator:
        wire = Wire(simulator).log_in()
        changed = simulator.control("POST", "settings", {"latency": 0.3, "capacity": 2, "overload": "refuse"})
        assert (changed["latency"], changed["capacity"], changed["overload"]) == ("0.3", 2, "refuse")
        statuses = [reply.status for reply in burst(wire, 10)]
        counted = simulator.counters()
        assert set(statuses) == {200, 503}
        assert statuses.count(200) == len(simulator.runners()) == counted["registrations"]
        assert counted["refused"] == statuses.count(503)
        assert 2 < counted["most_mints_in_flight"] <= 10
        assert counted["most_connections_open"] >= counted["most_mints_in_flight"]
        simulator.configure(latency=0.0, capacity=0)
        assert wire.mint("after").status == 200
        assert simulator.counters()["in_flight"] == 0


def test_the_first_admin_connections_can_be_unready_and_an_absent_runner_404() -> None:
    with SimulatorProcess(unready=2, absent_status=404) as simulator:
        wire = Wire(simulator)
        token = f"RemoteAuth {wire.registration_token()}"
        assert [wire.connect(token).status for _ in range(3)] == [401, 401, 200]
        reply = wire.log_in().send("DELETE", f"{AGENTS}/9")
        assert (reply.status, "AgentNotFoundException" in reply.type_name) == (404, True)
