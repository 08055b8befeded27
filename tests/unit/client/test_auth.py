"""The token chain against a service on loopback (protocol section 3)."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from scaleset_client import AppCredentials, Backoff, ScaleSetClient, TokenCredentials
from scaleset_hookspecs import (
    AuthenticationFailed,
    NotFound,
    PermissionDenied,
    RateLimited,
    Rejected,
    Unavailable,
    UsageError,
)
from tests.unit.client.scripted import PAT, Answer, Received, ScriptedService, SteppedClock, client_of, jwt_ending

pytestmark = pytest.mark.anyio

INSTALLATION = "/api/v3/app/installations/99/access_tokens"
REGISTRATION = "/api/v3/orgs/acme/actions/runners/registration-token"
ADMIN = "/api/v3/actions/runner-registration"


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def app(key: rsa.RSAPrivateKey) -> AppCredentials:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return AppCredentials(client_id="Iv1.abc", installation_id=99, private_key=pem)


async def test_an_app_goes_through_three_steps_once(
    service: ScriptedService, app: AppCredentials, key: rsa.RSAPrivateKey, clock: SteppedClock
) -> None:
    """A thousand cold callers: three token requests. The JWT is that of protocol 3.1."""
    end = clock.now + 3600
    installation = {"token": "ghs_installation", "expires_at": stamp(end)}
    service.on("POST", INSTALLATION, Answer(201, installation))
    async with client_of(service, credentials=app) as client:
        await asyncio.gather(*(client.connect() for _ in range(1000)))
        assert client.counters.token_requests == 3
    first, second, _ = service.requests
    assert first.headers["content-type"] == "application/vnd.github+json"
    claims = jwt.decode(
        first.token, key.public_key(), algorithms=["RS256"], options={"verify_exp": False, "verify_iat": False}
    )
    assert claims.pop("jti")
    assert claims == {"iss": "Iv1.abc", "iat": int(clock.now) - 60, "exp": int(clock.now) + 480}
    assert second.token == "ghs_installation"


def stamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")


async def test_each_token_is_used_for_its_own_lifetime(
    service: ScriptedService, app: AppCredentials, clock: SteppedClock
) -> None:
    """Short admin tokens are renewed with one request each until the longer tokens end too."""
    service.token_lifetime = 1000
    service.on("POST", INSTALLATION, lambda _: Answer(201, {"token": "ghs_i", "expires_at": stamp(clock.now + 3600)}))
    service.on("POST", REGISTRATION, lambda _: Answer(201, {"token": "REG", "expires_at": stamp(clock.now + 2400)}))
    async with client_of(service, credentials=app) as client:
        for _ in range(6):
            await client.connect()
            clock.now += 1000
    assert [len(service.asked(path)) for path in (ADMIN, REGISTRATION, INSTALLATION)] == [6, 2, 1]


async def test_new_registration_tokens_may_be_refused_for_a_while(
    service: ScriptedService, client: ScaleSetClient, clock: SteppedClock
) -> None:
    """401 and 403 pass in this step, with waits that differ (protocol 3.3)."""
    refusals = iter([401, 403, 401])
    admin = service.admin

    def reply(request: Received) -> Answer:
        status = next(refusals, None)
        return admin(request) if status is None else Answer(status, b"")

    service.on("POST", ADMIN, reply)
    await client.connect()
    assert len(clock.slept) == 3
    assert sum(clock.slept) < 6
    assert len(service.asked(REGISTRATION)) == 1
    assert client.token_renewals == 1


@pytest.mark.parametrize(("body", "most"), [(b"", 6), (b'{"message":"Bad credentials"}', 3)])
async def test_a_refusal_that_stays_is_reported(
    service: ScriptedService, client: ScaleSetClient, clock: SteppedClock, body: bytes, most: int
) -> None:
    """Within seconds, and sooner if the body is clear."""
    service.on("POST", ADMIN, Answer(403, body))
    with pytest.raises(PermissionDenied):
        await client.connect()
    assert client.token_renewals == 0
    assert 2 <= len(service.asked(ADMIN)) <= most
    assert sum(clock.slept) < 20


async def test_a_reused_registration_token_that_is_refused_is_replaced(
    service: ScriptedService, client: ScaleSetClient, clock: SteppedClock
) -> None:
    """It may have been revoked before its end, so a new one is got at once."""
    service.on(
        "POST",
        REGISTRATION,
        [
            Answer(201, {"token": "OLD", "expires_at": stamp(clock.now + 36000)}),
            Answer(201, {"token": "NEW", "expires_at": stamp(clock.now + 36000)}),
        ],
    )
    await client.connect()
    clock.now += 3600
    admin = service.admin
    service.on("POST", ADMIN, lambda r: Answer(401) if r.token == "OLD" else admin(r))
    await client.connect()
    assert [one.token for one in service.asked(ADMIN)] == ["OLD", "OLD", "NEW"]
    assert clock.slept == []


@pytest.mark.parametrize("status", [401, 403])
async def test_a_reused_installation_token_that_is_refused_is_replaced(
    service: ScriptedService, app: AppCredentials, clock: SteppedClock, status: int
) -> None:
    """A host lives through its revocation; a new token that is refused as well is the App's own trouble."""
    serial = iter(range(1, 9))
    refused = {"ghs_3", "ghs_4"}

    def registration(request: Received) -> Answer:
        short = {"token": "R", "expires_at": stamp(clock.now + 60)}
        return Answer(status, {"message": "no"}) if request.token in refused else Answer(201, short)

    service.on(
        "POST",
        INSTALLATION,
        lambda _: Answer(201, {"token": f"ghs_{next(serial)}", "expires_at": stamp(clock.now + 36000)}),
    )
    service.on("POST", REGISTRATION, registration)
    async with client_of(service, credentials=app) as client:
        await client.connect()
        refused.add("ghs_1")
        clock.now += 3600
        await client.connect()
        assert [one.token for one in service.asked(REGISTRATION)] == ["ghs_1", "ghs_1", "ghs_2"]
        refused.add("ghs_2")
        clock.now += 3600
        with pytest.raises(Rejected):
            await client.connect()
        assert [one.token for one in service.asked(REGISTRATION)][3:] == ["ghs_2", "ghs_3"]


async def test_a_rate_limit_is_not_taken_for_a_lack_of_permission(
    service: ScriptedService, client: ScaleSetClient, clock: SteppedClock
) -> None:
    """The sentence about permissions stands for a 403, which a limit can be as well."""
    service.on("POST", REGISTRATION, Answer(403, {"message": "You have exceeded a secondary rate limit"}))
    with pytest.raises(RateLimited) as caught:
        await client.generate_jit_config(42, "r")
    assert "secondary rate limit" in str(caught.value)
    assert "admin:org" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "error", "hint"),
    [
        (Answer(401, {"message": "Bad credentials"}), AuthenticationFailed, "wrong, expired or revoked"),
        (Answer(403, {"message": "Resource not accessible"}), PermissionDenied, "admin:org"),
        (Answer(404, {"message": "Not Found"}), NotFound, "does not exist"),
        (Answer(301, {"message": "Moved"}, {"Location": "/elsewhere"}), Rejected, "renamed"),
    ],
)
async def test_bad_credentials_are_reported_at_once(
    service: ScriptedService,
    client: ScaleSetClient,
    clock: SteppedClock,
    answer: Answer,
    error: type[Rejected],
    hint: str,
) -> None:
    """Nothing unclear about a refusal of the first steps: one request, no wait, and what to check."""
    service.on("POST", REGISTRATION, answer)
    with pytest.raises(error, match=hint) as caught:
        await client.generate_jit_config(42, "r")
    assert len(service.requests) == 1
    assert clock.slept == []
    assert PAT not in str(caught.value)


@pytest.mark.parametrize("token", ["", "ghp_x\n", "ghp x", "ghp_\u00fc", "ghp_\udcff"])
def test_a_token_that_no_header_can_hold_is_refused_at_once(token: str) -> None:
    """Not when it is sent, again and again; a file often ends with a line break."""
    with pytest.raises(UsageError, match="one line") as caught:
        TokenCredentials(token=token)
    assert "ghp" not in str(caught.value)


def rotating(service: ScriptedService, valid: set[str], lifetime: float = 3600) -> None:
    """Have the service take these personal tokens only."""

    def registration(request: Received) -> Answer:
        if request.token not in valid:
            return Answer(401, {"message": "Bad credentials"})
        return Answer(201, {"token": "R", "expires_at": stamp(service.clock.now + lifetime)})

    service.on("POST", REGISTRATION, registration)


async def test_a_token_that_is_refused_is_read_again(service: ScriptedService, clock: SteppedClock) -> None:
    """Rotated in its file, and the old one revoked: the host went on with the old one until it ended."""
    file, valid, read = ["old"], {"old"}, []

    def again() -> str:
        read.append(file[0])
        return file[0]

    service.token_lifetime = 100
    rotating(service, valid, lifetime=100)
    async with client_of(service, credentials=TokenCredentials(token="old", again=again)) as client:
        await client.connect()
        file[0] = "new"
        assert read == [], "nothing is read while the secret is good"
        valid.symmetric_difference_update({"old", "new"})
        clock.now += 100
        await client.connect()
        assert read == ["new"]
        clock.now += 100
        await client.connect()
    assert read == ["new"]
    assert [one.token for one in service.asked(REGISTRATION)] == ["old", "old", "new", "new"]


@pytest.mark.parametrize(
    "held", ["old", "", "two\nlines", OSError(2, "No such file", "/run/token"), ValueError("SECRET")]
)
async def test_what_is_no_new_token_leaves_the_old_one(
    service: ScriptedService, caplog: pytest.LogCaptureFixture, clock: SteppedClock, held: str | Exception
) -> None:
    """A file half written, or gone for the moment of its exchange, is read once more with the next refusal."""
    file: list[str | Exception] = [held]

    def again() -> str:
        if isinstance(file[0], Exception):
            raise file[0]
        return file[0]

    rotating(service, {"new"})
    async with client_of(service, credentials=TokenCredentials(token="old", again=again)) as client:
        with pytest.raises(AuthenticationFailed, match="check the token"):
            await client.connect()
        file[0] = "new"
        clock.now += 60
        await client.connect()
    assert [one.token for one in service.asked(REGISTRATION)] == ["old", "old", "new"]
    assert ("could not be read again" in caplog.text) == (held != "old")
    assert "SECRET" not in caplog.text


@pytest.mark.parametrize("read", ["the new key", "no key at all"])
async def test_an_apps_key_that_is_refused_is_read_again(
    service: ScriptedService, app: AppCredentials, read: str
) -> None:
    """What is no key leaves the old one, which may only have been refused in passing."""
    new = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = new.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def installation(request: Received) -> Answer:
        try:
            jwt.decode(request.token, new.public_key(), ["RS256"], options={"verify_exp": False, "verify_iat": False})
        except jwt.InvalidSignatureError:
            return Answer(401, {"message": "A JSON web token could not be decoded"})
        return Answer(201, {"token": "ghs_i", "expires_at": "2100-01-01T00:00:00Z"})

    service.on("POST", INSTALLATION, installation)
    credentials = replace(app, again=lambda: pem if read == "the new key" else "-----BEGIN PRIVATE KEY-----")
    async with client_of(service, credentials=credentials) as client:
        if read == "the new key":
            await client.connect()
        else:
            with pytest.raises(AuthenticationFailed):
                await client.connect()
    assert len(service.asked(INSTALLATION)) == (2 if read == "the new key" else 1)


@pytest.mark.parametrize("ahead", [90.0, -1000.0, 3600.0])
async def test_an_app_whose_clock_is_off_signs_by_githubs_time(
    service: ScriptedService, app: AppCredentials, clock: SteppedClock, caplog: pytest.LogCaptureFixture, ahead: float
) -> None:
    """The `Date` of the refusal knows it. It is said once, and the next JWT is right at once."""

    def installation(request: Received) -> Answer:
        claims = jwt.decode(request.token, options={"verify_signature": False})
        now = clock.now - ahead
        date = {"Date": format_datetime(datetime.fromtimestamp(now, UTC), usegmt=True)}
        if not claims["iat"] <= now < claims["exp"] <= now + 600:
            return Answer(401, {"message": "'Issued at' claim ('iat') must be in the past"}, date)
        return Answer(201, {"token": "ghs_i", "expires_at": stamp(clock.now + 100)}, date)

    service.token_lifetime = 100
    service.on("POST", INSTALLATION, installation)
    service.on("POST", REGISTRATION, lambda _: Answer(201, {"token": "R", "expires_at": stamp(clock.now + 100)}))
    async with client_of(service, credentials=app) as client:
        for _ in range(3):
            await client.connect()
            clock.now += 100
        assert len(service.asked(INSTALLATION)) == 1 + 3
        side = "ahead of" if ahead > 0 else "behind"
        assert caplog.text.count(f"it is {abs(ahead):.0f} s {side} GitHub's") == 1
        clock.now -= ahead  # set right
        ahead = 0.0
        clock.now += 5000
        await client.connect()
    assert len(service.asked(INSTALLATION)) <= 4 + 2


async def test_an_app_that_is_refused_with_the_right_time_is_refused(
    service: ScriptedService, app: AppCredentials, clock: SteppedClock
) -> None:
    """Nothing else is tried."""
    date = {"Date": format_datetime(datetime.fromtimestamp(clock.now + 2, UTC), usegmt=True)}
    service.on("POST", INSTALLATION, Answer(401, {"message": "no"}, date))
    async with client_of(service, credentials=app) as client:
        with pytest.raises(AuthenticationFailed):
            await client.connect()
    assert len(service.asked(INSTALLATION)) == 1


async def test_a_thousand_callers_with_bad_credentials_ask_once(
    service: ScriptedService, client: ScaleSetClient, clock: SteppedClock
) -> None:
    """Each gets an error of its own."""
    service.on("POST", REGISTRATION, Answer(401, {"message": "Bad credentials"}))
    results = await asyncio.gather(*(client.connect() for _ in range(1000)), return_exceptions=True)
    assert {type(one) for one in results} == {AuthenticationFailed}
    assert len({id(one) for one in results}) == 1000
    assert len(service.requests) == 1
    with pytest.raises(AuthenticationFailed):
        await client.connect()
    assert len(service.requests) == 1, "what was refused is not asked again at once"
    clock.now += 60
    service.on("POST", REGISTRATION, service.registration)
    await client.connect()


async def test_a_refusal_is_forgotten_in_time_though_the_wall_clock_was_set_back(
    service: ScriptedService, client: ScaleSetClient, clock: SteppedClock
) -> None:
    """How long to wait is time that passes, not a time of day."""
    service.on("POST", REGISTRATION, Answer(401, {"message": "Bad credentials"}))
    with pytest.raises(AuthenticationFailed):
        await client.connect()
    service.on("POST", REGISTRATION, service.registration)
    clock.set_back_by(3600)
    clock.now += 60
    await client.connect()


async def test_the_steps_are_repeated_while_github_is_unavailable(
    service: ScriptedService, client: ScaleSetClient, clock: SteppedClock
) -> None:
    """New tokens do no harm, so a lost answer is asked for again."""
    good = service.registration(Received("", "", {}, {}, b""))
    service.on("POST", REGISTRATION, [Answer(502), Answer(reset=True), Answer(201, b"{"), good])
    await client.connect()
    assert len(clock.slept) == 3


async def test_a_limit_of_the_rest_api_that_names_no_time_is_a_minute(
    service: ScriptedService, clock: SteppedClock
) -> None:
    """GitHub's documentation asks for at least that (protocol 10.1)."""
    service.on("POST", REGISTRATION, Answer(403, {"message": "You have exceeded a secondary rate limit"}))
    async with client_of(service, backoff=Backoff(limit=30)) as client:
        with pytest.raises(RateLimited) as caught:
            await client.connect()
        assert caught.value.retry_after == 60
        assert clock.slept == []
        clock.now += 59
        with pytest.raises(RateLimited) as caught:
            await client.connect()
        assert caught.value.retry_after == pytest.approx(1)
        assert len(service.requests) == 1, "nothing is asked before its time"
        clock.now += 1
        service.on("POST", REGISTRATION, service.registration)
        await client.connect()


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'{"url":"x"}', b'{"url":"","token":"t"}', b"<html>", b"\xff"])
async def test_an_admin_connection_must_be_complete(service: ScriptedService, body: bytes) -> None:
    """A 200 that says nothing is no connection."""
    service.on("POST", ADMIN, Answer(200, body))
    async with client_of(service, backoff=Backoff(attempts=2)) as client:
        with pytest.raises(Unavailable):
            await client.connect()
    assert len(service.asked(ADMIN)) == 2


async def test_no_token_is_sent_in_clear_over_a_network(service: ScriptedService, client: ScaleSetClient) -> None:
    """Even if GitHub itself names such a place."""
    service.on("POST", ADMIN, Answer(200, {"url": "http://broker.example/rest", "token": "t"}))
    with pytest.raises(Rejected, match="https"):
        await client.connect()


@pytest.mark.parametrize("url", ["https://xn--/", "https://[v1.x]/", "https://h/\x00", f"https://h/{'x' * 70_000}"])
async def test_an_address_that_is_none_is_an_error_of_ours(
    service: ScriptedService, client: ScaleSetClient, url: str
) -> None:
    """Python takes these for URLs, httpx does not; whichever call comes first says so."""
    service.on("POST", ADMIN, Answer(200, {"url": url, "token": "t"}))
    for call in (client.list_scale_sets(), client.generate_jit_config(42, "r"), client.warm(1)):
        with pytest.raises(Rejected, match="not a valid URL"):
            await call


async def test_a_token_with_half_a_character_is_sent_as_far_as_it_goes(
    service: ScriptedService, client: ScaleSetClient
) -> None:
    """JSON can spell what no encoding can write."""
    service.on("POST", REGISTRATION, Answer(201, {"token": "R\ud800", "expires_at": "2100-01-01T00:00:00Z"}))
    service.on("POST", ADMIN, Answer(200, {"url": f"{service.base}/tenant", "token": "A\ud800"}))
    await client.generate_jit_config(42, "r")
    assert service.requests[1].token == "R?"
    assert service.requests[2].token == "A?"


async def test_a_cancelled_caller_cancels_nobody_else(service: ScriptedService, client: ScaleSetClient) -> None:
    """The chain runs on for those who still wait."""
    gate = asyncio.Event()
    service.on("POST", REGISTRATION, Answer(201, {"token": "R", "expires_at": "2100-01-01T00:00:00Z"}, wait_for=gate))
    first = asyncio.create_task(client.connect())
    second = asyncio.create_task(client.connect())
    while not service.requests:
        await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.sleep(0)
    gate.set()
    await second
    assert first.cancelled()
    assert len(service.asked(REGISTRATION)) == 1


async def test_a_clock_that_is_wrong_does_not_start_a_chain_per_call(
    service: ScriptedService, client: ScaleSetClient, clock: SteppedClock
) -> None:
    """A token that arrives dead by our clock lives by its own lifetime."""
    token = jwt_ending(clock.now - 5000, issued=clock.now - 8600)
    service.on("POST", ADMIN, Answer(200, {"url": f"{service.base}/tenant", "token": token}))
    for i in range(10):
        await client.generate_jit_config(42, f"r-{i}")
    assert client.counters.token_requests == 2


async def test_secrets_are_in_no_error_whatever_the_service_says(
    service: ScriptedService, client: ScaleSetClient
) -> None:
    """A service that echoes tokens does not get them into our errors."""
    await client.connect()
    admin = service.admin_tokens[0]
    service.on_service(
        "GET", "distributedtask/pools/0/agents/1", lambda r: Answer(400, {"message": f"{r.token} {PAT}"})
    )
    with pytest.raises(Rejected) as caught:
        await client.get_runner(1)
    assert admin not in str(caught.value)
    assert PAT not in str(caught.value)
    assert PAT not in repr(vars(client._caller.chain))


async def test_closing_frees_whoever_waits_for_a_token(service: ScriptedService) -> None:
    """They get an error that can be handled, not a cancellation nobody asked for."""
    gate = asyncio.Event()
    service.on("POST", REGISTRATION, Answer(201, wait_for=gate))
    client = client_of(service)
    waiting = asyncio.create_task(client.connect())
    while not service.requests:
        await asyncio.sleep(0.01)
    await client.aclose()
    with pytest.raises(Unavailable, match="closed"):
        await waiting
    gate.set()
