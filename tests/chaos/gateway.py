"""A gateway between host and service that repeats, delays, swaps and cuts off answers: nobody gets another's config."""

import asyncio
import os
import random
import time
from collections import Counter
from dataclasses import dataclass, field

from scaleset_burst.engine import Engine
from scaleset_burst.settings import load_settings
from scaleset_hookspecs import JitConfig, Outcome, ProvisionSettings, ScaleSetRef
from scaleset_simulator import SimulatorProcess
from scaleset_simulator.clock import ScaledClock
from tests.chaos.outcome import UNEVEN, ChaosResult, judge

SCALE_SETS = ("trusted", "public")
CALLS = 10
SPEED = 10.0

SHARES = {"repeat": 0.004, "repeat-later": 0.004, "delay": 0.01, "swap": 0.006, "cut": 0.004, "drop": 0.002}
"""How often each happens to an answer of the Actions service: 3 of 100 in all."""

LATER = 0.02
"""Seconds after which an answer is repeated when nobody expects one, or at most delayed tenfold."""


@dataclass(slots=True)
class _Held:
    """An answer that waits for another connection's, to be given in its place."""

    answer: bytes
    other: asyncio.Future[bytes]


@dataclass(slots=True)
class Gateway:
    """An HTTP/1.1 proxy on loopback in front of the simulator."""

    upstream: int
    chance: random.Random
    port: int = 0
    done: Counter[str] = field(default_factory=Counter)
    _held: _Held | None = None

    async def start(self) -> asyncio.Server:
        """Listen; on a port of as many digits as the service's, whose own address in its answers is replaced."""
        while True:
            server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024)
            self.port = server.sockets[0].getsockname()[1]
            if len(str(self.port)) == len(str(self.upstream)):
                return server
            server.close()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        service: asyncio.StreamWriter | None = None
        try:
            answers, service = await asyncio.open_connection("127.0.0.1", self.upstream)
            while True:
                head, message = await _message(reader)
                service.write(message)
                _, answer = await _message(answers)
                answer = answer.replace(b":%d" % self.upstream, b":%d" % self.port)
                if not await self._answer(writer, answer, spoilt=b"/_apis/" in head.split(b"\r\n", 1)[0]):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()
            if service is not None:
                service.close()

    async def _answer(self, writer: asyncio.StreamWriter, answer: bytes, *, spoilt: bool) -> bool:
        """Pass an answer on, spoilt perhaps; return whether the connection lives on."""
        what = self._draw() if spoilt else "nothing"
        self.done[what] += 1
        if what == "drop":
            return False
        if what == "cut":
            writer.write(answer[: len(answer) - 1 - self.chance.randrange(min(len(answer) - 1, 200))])
            await writer.drain()
            return False
        if what == "delay":
            await asyncio.sleep(self.chance.uniform(LATER, LATER * 10))
        elif what == "swap":
            answer = await self._swapped(answer)
        writer.write(answer)
        if what == "repeat":
            writer.write(answer)
        elif what == "repeat-later":
            asyncio.get_running_loop().call_later(self.chance.uniform(0.0, LATER), _write, writer, answer)
        return True

    async def _swapped(self, answer: bytes) -> bytes:
        if self._held is None:
            held = self._held = _Held(answer, asyncio.get_running_loop().create_future())
            try:
                async with asyncio.timeout(LATER * 10):
                    return await held.other
            except TimeoutError:
                return answer
            finally:
                self._held = None if self._held is held else self._held
        other, self._held = self._held, None
        if other.other.done():
            return answer
        other.other.set_result(answer)
        return other.answer

    def _draw(self) -> str:
        drawn = self.chance.random()
        for what, share in SHARES.items():
            drawn -= share
            if drawn < 0:
                return what
        return "nothing"


def _write(writer: asyncio.StreamWriter, answer: bytes) -> None:
    if not writer.is_closing():
        writer.write(answer)


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return head, head + (await reader.readexactly(length) if length else b"")


def run_gateway(mints: int, seed: int) -> ChaosResult:
    """Mint for two scale sets through the gateway, and compare what was handed out with what the service holds."""
    started, origin = time.monotonic(), time.time()
    limits = ("--registrations", "1000000", "--group-capacity", "1000000", "--seed", str(seed))
    clocked = ("--speed", str(SPEED), "--origin", str(origin))
    with SimulatorProcess("--latency", UNEVEN, *limits, *clocked, scale_set=list(SCALE_SETS)) as simulator:
        clock = ScaledClock(SPEED, origin)
        outcomes, report = asyncio.run(_burst(simulator, clock, mints, seed))
        configs = [outcome for outcome in outcomes if isinstance(outcome, JitConfig)]
        runners = simulator.runners()
        owners = {str(runner["name"]): runner["runnerScaleSetId"] for runner in runners}
        outcome = judge(
            seed=seed,
            asked=mints,
            delivered=(config.runner_name for config in configs),
            failed=len(outcomes) - len(configs),
            registered=owners,
            counters=simulator.counters(),
        )
        ids = {str(runner["name"]): runner["id"] for runner in runners}
        wrong = {
            "wrong_scale_set": sum(config.scale_set.id != owners.get(config.runner_name) for config in configs),
            "wrong_id": sum(config.runner_id != ids.get(config.runner_name) for config in configs),
            "configs_twice": len(configs) - len({config.encoded for config in configs}),
        }
        outcome["broken_promises"] = [each for each in outcome["broken_promises"] if each != "budget"]
        outcome["broken_promises"] += [name for name, count in wrong.items() if count]
        return outcome | wrong | report | {"seconds": round(time.monotonic() - started, 1)}


async def _burst(
    simulator: SimulatorProcess, clock: ScaledClock, mints: int, seed: int
) -> tuple[list[Outcome], ChaosResult]:
    os.environ["CHAOS_TOKEN"] = simulator.token
    gateway = Gateway(int(simulator.url.rsplit(":", 1)[1]), random.Random(seed))
    server = await gateway.start()
    section = {
        "github": {
            "config_url": simulator.config_url.replace(f":{gateway.upstream}", f":{gateway.port}"),
            "token": {"$env": "CHAOS_TOKEN"},
        },
        "journal": {"directory": ":memory:"},
        "budget": {"registrations": 1_000_000},
        "batch": {"max_attempts": 20},
    }
    settings = load_settings({"plugins": {"burst": section}}, environ=os.environ, read_file=lambda _: "")
    engine = Engine(settings, clock=clock, random=random.Random(seed))
    try:
        await engine.start()
        counts = [mints // CALLS + (call < mints % CALLS) for call in range(CALLS)]
        calls = [
            engine.provision(ScaleSetRef(name=SCALE_SETS[number % 2]), count, ProvisionSettings(), None)
            for number, count in enumerate(counts)
            if count
        ]
        outcomes = [outcome for answer in await asyncio.gather(*calls) for outcome in answer]
        resolver = engine.minter.resolver
        until = clock.monotonic() + 600.0
        while len(resolver) and clock.monotonic() < until:
            await clock.sleep(1.0)
        report: ChaosResult = {
            "resolved": resolver.settled,
            "unresolved": len(resolver),
            "removed": resolver.removed,
            "gateway": dict(gateway.done),
        }
    finally:
        await engine.stop()
        server.close()
    return outcomes, report
