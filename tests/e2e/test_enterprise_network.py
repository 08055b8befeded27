"""The whole client behind a proxy with a password, to a service with its own authority that wants a certificate."""

import asyncio
from collections.abc import Iterator

import pytest
import trustme
from proxy import Proxy

from scaleset_client import Backoff, ConnectionOptions, ScaleSetClient, TokenCredentials
from scaleset_client.transport import routes
from scaleset_hookspecs import Rejected, Unavailable
from scaleset_simulator import SimulatorProcess

SCALE_SET = "e2e"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Write the authority, and the certificates and keys of both sides."""
    place = tmp_path_factory.mktemp("pki")
    authority = trustme.CA()
    written = {"ca": place / "ca.pem"}
    authority.cert_pem.write_to_path(str(written["ca"]))
    for side in ("localhost", "client.example"):
        issued = authority.issue_cert(side)
        written[side], written[f"{side} key"] = place / f"{side}.pem", place / f"{side}.key"
        issued.cert_chain_pems[0].write_to_path(str(written[side]))
        issued.private_key_pem.write_to_path(str(written[f"{side} key"]))
    return {name: str(path) for name, path in written.items()}


@pytest.fixture(scope="module")
def simulator(files: dict[str, str]) -> Iterator[SimulatorProcess]:
    options = {"tls_cert": files["localhost"], "tls_key": files["localhost key"], "client_ca": files["ca"]}
    with SimulatorProcess(scale_set=SCALE_SET, poll_seconds=0.2, **options) as running:
        yield running


@pytest.fixture(scope="module")
def proxy() -> Iterator[str]:
    arguments = ["--hostname", "127.0.0.1", "--port", "0", "--num-workers", "1", "--num-acceptors", "1", "--threadless",
                 "--local-executor", "1", "--basic-auth", "user:p@ss word", "--log-level", "CRITICAL"]  # fmt: skip
    with Proxy(arguments) as running:
        yield f"127.0.0.1:{running.flags.port}"


@pytest.fixture(autouse=True)
def another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the simulator for another machine's: what is on this one is never asked of a proxy."""
    monkeypatch.setattr(routes, "is_loopback", lambda _host: False)


def client_of(simulator: SimulatorProcess, **options: str | None) -> ScaleSetClient:
    return ScaleSetClient(
        simulator.config_url,
        TokenCredentials(token=simulator.token),
        options=ConnectionOptions(**options),  # type: ignore[arg-type]
        backoff=Backoff(attempts=1),
    )


def test_tokens_mints_and_a_session_go_through(simulator: SimulatorProcess, proxy: str, files: dict[str, str]) -> None:
    async def go() -> None:
        async with client_of(
            simulator,
            proxy=f"http://user:p%40ss%20word@{proxy}",
            ca_file=files["ca"],
            client_certificate=files["client.example"],
            client_key=files["client.example key"],
        ) as client:
            (scale_set,) = await client.list_scale_sets()
            names = [f"e2e-{number}" for number in range(20)]
            minted = await asyncio.gather(*(client.generate_jit_config(scale_set.id, name) for name in names))
            assert [one.runner.name for one in minted] == names
            async with await client.open_session(scale_set.id, "e2e") as session:
                assert await session.poll(0) is None
            assert await asyncio.gather(*(client.remove_runner(one.runner.id) for one in minted)) == [True] * 20
            assert await client.list_runners() == ()
            assert client.counters.token_requests == 2

    asyncio.run(go())


@pytest.mark.parametrize("lacking", ["password", "authority", "certificate"])
def test_what_is_lacking_is_said(simulator: SimulatorProcess, proxy: str, files: dict[str, str], lacking: str) -> None:
    errors = {
        "password": (Rejected, "407"),
        "authority": (Rejected, "ca_file"),
        "certificate": (Unavailable, "(?i)certificate.required|connection was (lost|closed)|closed the connection"),
    }
    error, words = errors[lacking]
    password = "hunter2" if lacking == "password" else "p%40ss%20word"

    async def go() -> None:
        async with client_of(
            simulator,
            proxy=f"http://user:{password}@{proxy}",
            ca_file=None if lacking == "authority" else files["ca"],
            client_certificate=None if lacking == "certificate" else files["client.example"],
            client_key=None if lacking == "certificate" else files["client.example key"],
        ) as client:
            with pytest.raises(error, match=words) as caught:
                await client.list_scale_sets()
            assert "hunter2" not in str(caught.value)

    asyncio.run(go())
