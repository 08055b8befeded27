"""Redis behind TLS and a password: what is trusted, what is said of what is not, and with which rights a host works."""

import asyncio
import re
import shlex
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from redis import Redis

from scaleset_burst.settings import Settings
from scaleset_burst.settings.model import SharingSettings
from scaleset_burst.sharing.heartbeat import HEARTBEAT_SECONDS
from scaleset_burst.sharing.store import RedisStore, RedisUnavailable
from scaleset_burst.wiring import build_sharing
from scaleset_client.clock import SystemClock
from scaleset_hookspecs import UsageError
from tests.kit.redis_server import RedisServer
from tests.unit.sharing.hosts import KEYS, BareHost, settle

pytestmark = pytest.mark.anyio

PASSWORD = "hunter2hunter2"
PAGE = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "share-limits.md"


def rights() -> list[str]:
    """Return those that the how-to page gives, for the keys of this test."""
    _, _, command = PAGE.read_text(encoding="utf-8").partition("ACL SETUSER scaleset on '>PASSWORD' ")
    words = shlex.split(command.partition("```")[0].replace("\\\n", " "))
    return [re.sub(r"^([~&])scaleset-burst:", rf"\1{KEYS.prefix}:", word) for word in words]


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@asynccontextmanager
async def behind_tls(server: RedisServer, authority: trustme.CA, host: str) -> AsyncIterator[int]:
    """Serve a Redis over TLS under the certificate of a host; yield the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    visits: set[asyncio.Task[None]] = set()

    async def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        visits.add(task)
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", server.port)
        try:
            await asyncio.gather(_pass_on(reader, inner_writer), _pass_on(inner_reader, writer))
        finally:
            writer.close()
            inner_writer.close()
            visits.discard(task)

    async with await asyncio.start_server(visit, "127.0.0.1", 0, ssl=context) as listener:
        yield listener.sockets[0].getsockname()[1]
        for task in visits:
            task.cancel()
        await asyncio.gather(*visits, return_exceptions=True)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except (OSError, ssl.SSLError):
        pass
    writer.close()


async def test_tls_and_a_password(server: RedisServer, authority: trustme.CA, tmp_path: Path) -> None:
    """Everything that hosts share passes, the channel too, with a user who may do no more than that."""
    with Redis.from_url(server.url) as admin:
        admin.execute_command("ACL", "SETUSER", "scaleset", "on", f">{PASSWORD}", *rights())
        admin.execute_command("ACL", "SETUSER", "default", ">other")
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    async with behind_tls(server, authority, "localhost") as port:
        url = f"rediss://scaleset:{PASSWORD}@localhost:{port}/1"
        one, other = (RedisStore(url, timeout=5.0, ca_file=str(ca_file)) for _ in range(2))
        key = KEYS.key("known", "group", "x")
        assert await one.claim(key, "5", 60_000)
        assert not await other.claim(key, "6", 60_000)
        assert (await other.fetch_dated(key))[0] == await one.fetch(key) == "5"
        await one.update(KEYS.names("a"), {"r-1": "open", "r-2": "open"}, (), 60_000)
        await one.update(KEYS.names("a"), {}, ("r-1",), 60_000)
        assert await other.all_of(KEYS.names("a")) == {"r-2": "open"}
        news = other.hear(KEYS.news)
        assert await anext(news) == ""
        await one.tell(KEYS.news, "wake")
        assert await anext(news) == "wake"
        await news.aclose()  # type: ignore[attr-defined]
        for store in (one, other):
            await store.aclose()
        await _limits_are_shared(url, str(ca_file), f"redis://:other@127.0.0.1:{server.port}/1")


async def _limits_are_shared(url: str, ca_file: str, admin: str) -> None:
    hosts = [BareHost(url, name, ca_file=ca_file) for name in ("a", "b")]
    for host in hosts:
        assert await host.heartbeat.send_heartbeat() == HEARTBEAT_SECONDS
    settle(admin)
    for host in hosts:
        host.waiting = 100
    for _ in range(10):
        for host in hosts:
            await host.heartbeat.send_heartbeat()
    assert all(host.budget.online and not host.heartbeat.gaps for host in hosts), "not each on its own"
    assert [host.register(100) for host in hosts] == [50, 50]
    for host in hosts:
        await host.store.aclose()


@pytest.mark.parametrize(("named", "trusted"), [("localhost", False), ("elsewhere.example", True)])
async def test_a_certificate_that_proves_nothing_gets_no_password(
    server: RedisServer,
    authority: trustme.CA,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    named: str,
    trusted: bool,
) -> None:
    """An authority nobody named, or another host's certificate: it is said what to check, once."""
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    async with behind_tls(server, authority, named) as port:
        url = f"rediss://scaleset:{PASSWORD}@localhost:{port}/0"
        store = RedisStore(url, timeout=5.0, ca_file=str(ca_file) if trusted else None)
        asks: tuple[Callable[[], Awaitable[object]], ...] = (lambda: store.fetch("x"), lambda: anext(store.hear("x")))
        for ask in asks:
            with pytest.raises(RedisUnavailable, match="certificate of Redis"):
                await ask()
        await store.aclose()
    (record,) = caplog.records
    assert "the certificate of Redis is not trusted" in record.getMessage()
    assert PASSWORD not in caplog.text


@pytest.mark.parametrize("missing", ["-time", "-evalsha", "resetkeys"])
async def test_too_few_rights_are_no_wrong_password(
    server: RedisServer, caplog: pytest.LogCaptureFixture, missing: str
) -> None:
    """Whether the command is refused, or what a script calls, or its keys: the message says what to mend."""
    with Redis.from_url(server.url) as admin:
        admin.execute_command("ACL", "SETUSER", "scaleset", "on", f">{PASSWORD}", *rights(), missing)
    host = BareHost(f"redis://scaleset:{PASSWORD}@127.0.0.1:{server.port}/0", "a")
    await host.heartbeat.send_heartbeat()
    await host.store.aclose()
    (record,) = caplog.records
    assert "too few rights" in record.getMessage()


def test_a_file_without_a_certificate_is_named_at_once(tmp_path: Path) -> None:
    """Not by every connection that fails."""
    key = tmp_path / "key.pem"
    key.write_text("-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n")
    sharing = SharingSettings.model_validate({"url": "rediss://localhost/0", "ca_file": str(key)})
    settings = Settings(enabled=False, sharing=sharing)
    with pytest.raises(UsageError, match=r"burst\.sharing` cannot be used: ca_file `.*key\.pem`"):
        build_sharing(settings, "github.com/acme", clock=SystemClock())


def test_an_authority_without_tls_is_a_mistake(authority: trustme.CA, tmp_path: Path) -> None:
    """Whoever names one believes that the password travels encrypted."""
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    sharing = SharingSettings.model_validate({"url": "redis://localhost/0", "ca_file": str(ca_file)})
    with pytest.raises(UsageError, match="without TLS"):
        build_sharing(Settings(enabled=False, sharing=sharing), "github.com/acme", clock=SystemClock())
