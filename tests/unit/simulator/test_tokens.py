"""Tokens: each is good for one purpose, for its time, and nothing else."""

import random
from collections.abc import Callable
from functools import cache
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from scaleset_simulator.errors import Refusal
from scaleset_simulator.options import AppKey, Options
from scaleset_simulator.tokens import Tokens
from tests.unit.simulator.moments import ManualClock


@cache
def keys() -> tuple[str, str]:
    """Return a private and a public key; making them takes a while."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


def tokens(clock: ManualClock) -> Tokens:
    app = AppKey(client_id="Iv1.x", installation_id=7, public_key=keys()[1])
    options = Options(token="pat", app=app, admin_token_ttl=600.0, queue_token_ttl=300.0)
    return Tokens(clock, options, random.Random(1))


def app_jwt(clock: ManualClock, *, key: str | None = None, **claims: object) -> str:
    now = clock.time()
    given = {"iat": now - 60, "exp": now + 480, "iss": "Iv1.x", **claims}
    return "Bearer " + jwt.encode(given, key or keys()[0], algorithm="RS256")


def status(call: Callable[..., object], *arguments: object) -> int:
    with pytest.raises(Refusal) as refused:
        call(*arguments)
    return refused.value.status


class TestChain:
    def test_a_pat_leads_to_an_admin_token_with_a_real_expiry(self) -> None:
        clock = ManualClock()
        one = tokens(clock)
        registration, expires = one.registration("Bearer pat")
        assert expires == clock.time() + 3600
        admin = one.admin(f"RemoteAuth {registration}")
        assert jwt.decode(admin, options={"verify_signature": False})["exp"] == clock.time() + 600
        one.check_admin(f"Bearer {admin}")

    def test_a_registration_token_can_be_used_again_within_its_hour(self) -> None:
        clock = ManualClock()
        one = tokens(clock)
        registration, _ = one.registration("token pat")
        assert one.admin(f"RemoteAuth {registration}") != one.admin(f"RemoteAuth {registration}")
        clock.now += 3601
        assert status(one.admin, f"RemoteAuth {registration}") == 401

    @pytest.mark.parametrize("scheme", ["Bearer", "remoteauth", "Basic", ""])
    def test_the_scheme_of_the_admin_connection_is_remote_auth(self, scheme: str) -> None:
        one = tokens(ManualClock())
        registration, _ = one.registration("Bearer pat")
        assert status(one.admin, f"{scheme} {registration}") == 401

    @pytest.mark.parametrize("authorization", ["", "pat", "Bearer other", "RemoteAuth pat", "Bearer "])
    def test_bad_credentials_are_refused(self, authorization: str) -> None:
        assert status(tokens(ManualClock()).registration, authorization) == 401


class TestPurposes:
    def test_no_token_is_good_for_another_purpose(self) -> None:
        one = tokens(ManualClock())
        registration, _ = one.registration("Bearer pat")
        admin, queue = one.admin(f"RemoteAuth {registration}"), one.queue("session-1")
        for wrong in ("pat", registration, queue):
            assert status(one.check_admin, f"Bearer {wrong}") == 401
        for wrong in ("pat", registration, admin):
            assert status(one.queue_session, f"Bearer {wrong}") == 401
        for wrong in ("pat", admin, queue):
            assert status(one.admin, f"RemoteAuth {wrong}") == 401
        for wrong in (registration, admin, queue):
            assert status(one.registration, f"Bearer {wrong}") == 401
        assert one.queue_session(f"Bearer {queue}") == "session-1"

    def test_a_forged_token_is_refused(self) -> None:
        clock = ManualClock()
        forged = jwt.encode({"exp": clock.time() + 600, "sub": "admin"}, "k" * 40, algorithm="HS256")
        assert status(tokens(clock).check_admin, f"Bearer {forged}") == 401

    @pytest.mark.parametrize(("seconds", "purpose"), [(600.0, "admin"), (300.0, "queue")])
    def test_signed_tokens_end_when_they_say(self, seconds: float, purpose: str) -> None:
        clock = ManualClock()
        one = tokens(clock)
        made = one.queue("s") if purpose == "queue" else one.admin(f"RemoteAuth {one.registration('Bearer pat')[0]}")
        check = one.queue_session if purpose == "queue" else one.check_admin
        clock.now += seconds - 0.1
        check(f"Bearer {made}")
        clock.now += 0.1
        assert status(check, f"Bearer {made}") == 401

    def test_all_can_be_ended_at_once(self) -> None:
        one = tokens(ManualClock())
        queue = one.queue("s")
        one.expire()
        assert status(one.queue_session, f"Bearer {queue}") == 401


class TestApps:
    def test_a_good_jwt_gets_an_installation_token_that_registers(self) -> None:
        clock = ManualClock()
        one = tokens(clock)
        installation, expires = one.installation(app_jwt(clock), 7)
        assert installation.startswith("ghs_")
        assert expires == clock.time() + 3600
        assert one.registration(f"Bearer {installation}")[0]

    @pytest.mark.parametrize(
        "claims",
        [{"iss": "Iv1.other"}, {"exp": 1.0}, {"iat": 4e9, "exp": 4e9 + 60}, {"iat": 1.7e9, "exp": 1.7e9 + 1e6}],
        ids=["another app", "expired", "from the future", "too long"],
    )
    def test_a_jwt_with_wrong_claims_is_refused(self, claims: dict[str, Any]) -> None:
        clock = ManualClock()
        assert status(tokens(clock).installation, app_jwt(clock, **claims), 7) == 401

    def test_a_jwt_signed_by_another_key_is_refused(self) -> None:
        clock = ManualClock()
        other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        assert status(tokens(clock).installation, app_jwt(clock, key=pem), 7) == 401

    def test_another_installation_is_unknown(self) -> None:
        clock = ManualClock()
        assert status(tokens(clock).installation, app_jwt(clock), 8) == 404

    def test_a_replayed_jwt_is_refused(self) -> None:
        clock = ManualClock()
        one = tokens(clock)
        once = app_jwt(clock, jti="1")
        one.installation(once, 7)
        assert status(one.installation, once, 7) >= 400
        assert one.installation(app_jwt(clock, jti="2"), 7)
