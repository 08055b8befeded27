"""What a run under real conditions says of a peer, and of what it left on the service."""

import asyncio
from typing import Any

import httpx
import pytest

from benchmarks.building import Peer
from benchmarks.driving import PeerFailed, Program
from benchmarks.peers.chain import chain
from benchmarks.real import CONDITIONS, MODELS, as_table, measure_peer, summary
from scaleset_simulator import SimulatorProcess
from scaleset_simulator.faults import parse_fault
from scaleset_simulator.latency import parse_latency

CLEAN: dict[str, Any] = {
    "delivered": 300, "failure": "", "ghosts": 0, "registrations": 300, "names_taken": 0, "refused": 0,
    "seconds": 2.0, "cpu": 0.2, "first": 0.1,
}  # fmt: skip


def test_what_one_round_left_behind_is_not_hidden_by_the_median() -> None:
    found = summary([CLEAN, CLEAN, CLEAN | {"ghosts": 2, "registrations": 302, "names_taken": 1}])
    assert (found["ghosts"], found["names_taken"], found["seconds"]) == (2, 1, 2.0)
    assert found["registrations_per_config"] == pytest.approx(902 / 900, abs=0.001)


def test_a_peer_that_failed_once_has_no_time_but_its_reason() -> None:
    found = summary([CLEAN, CLEAN | {"delivered": 7, "failure": "status | 409"}])
    assert "seconds" not in found
    about = dict.fromkeys(("date", "commit", "machine", "python", "bursts", "burst", "rounds"), "-")
    table = as_table({"about": about, "models": {}, "conditions": {"b": {"x": found}}, "skipped": {}})
    assert "| b | x | failed: status / 409 | | 307 |" in table


def test_a_peer_whose_program_ends_is_a_row_with_its_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(_program: Program, _service: SimulatorProcess, **_more: object) -> None:
        raise PeerFailed("it ended")

    monkeypatch.setattr(Program, "connect", connect)
    found = measure_peer("c: uneven, refuses beyond 24", Peer(name="cat", kind="python", command=("cat",)), 3, 0)
    assert (found["failure"], found["delivered"], found["ghosts"]) == ("it ended", 0, 0)


def test_every_service_of_the_table_is_one_that_the_simulator_can_play() -> None:
    for model in (*MODELS.values(), *(model for model, _ in CONDITIONS.values())):
        assert parse_latency(model.latency).text == model.latency
    assert len({model.latency for model in MODELS.values()}) >= 6
    for _, faults in CONDITIONS.values():
        assert [parse_fault(fault).every for fault in faults] == [100] * len(faults)


def test_the_plain_peers_reach_a_service_whose_address_has_a_query() -> None:
    async def mint(simulator: SimulatorProcess) -> int:
        async with httpx.AsyncClient(trust_env=False) as client:

            async def send(method: str, url: str, headers: dict[str, str], body: object) -> object:
                return (await client.request(method, url, headers=headers, json=body)).raise_for_status().json()

            order = {"config_url": simulator.config_url, "token": "bench", "scale_set": "bench-a"}
            url, headers = await chain(order, send)
            answer = await client.post(url, headers=headers, json={"name": "one", "workFolder": "_work"})
            return answer.status_code

    with SimulatorProcess(token="bench", scale_set=["bench-a"]) as simulator:
        assert asyncio.run(mint(simulator)) == 200
        assert [runner["name"] for runner in simulator.runners()] == ["one"]
