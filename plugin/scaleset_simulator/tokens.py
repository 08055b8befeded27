"""The tokens the service hands out: signed, with a real `exp` that is enforced."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
from dataclasses import dataclass, field
from typing import Any

from scaleset_simulator.clock import Clock
from scaleset_simulator.errors import Refusal, bad_token
from scaleset_simulator.options import Options

__all__ = ["Tokens"]


SIGNING_KEY = b"simulator-signing-key-of-enough-length"
"""Nobody checks the signature: whoever shows a token is known by the whole of it."""

MOST_TOKENS = 10_000
"""Tokens of a kind remembered at most, the newest."""


@dataclass(slots=True)
class Tokens:
    """Issues and checks tokens; each is good for one purpose only.

    Attributes:
        rest: Installation and registration tokens, with purpose and expiry (Unix seconds).
        signed: Admin and queue tokens that were issued, so that a check costs a look-up.
    """

    clock: Clock
    options: Options
    chance: random.Random
    rest: dict[str, tuple[str, float]] = field(default_factory=dict)
    signed: dict[str, tuple[str, float]] = field(default_factory=dict)
    seen_jti: dict[str, None] = field(default_factory=dict)
    issued: int = 0

    def installation(self, authorization: str, installation_id: int) -> tuple[str, float]:
        """Exchange an App's JWT for an installation token (protocol 3.1)."""
        app = self.options.app
        if app is None or installation_id != app.installation_id:
            raise Refusal(404, None, "Integration not found")
        import jwt  # noqa: PLC0415  # with its cryptography a quarter of a start, for those who try an App

        try:
            # The service's clock is passed in, so the library must not compare with its own.
            claims = jwt.decode(
                authorization.removeprefix("Bearer "),
                app.public_key,
                algorithms=["RS256"],
                options={"verify_exp": False, "verify_iat": False, "require": ["exp", "iat", "iss"]},
            )
        except jwt.PyJWTError as error:
            raise Refusal(401, None, f"A JSON web token could not be decoded: {error}") from error
        now = self.clock.time()
        if claims["iss"] != app.client_id or claims["exp"] <= now or claims["iat"] > now + 5:
            raise Refusal(401, None, "The JSON web token is expired, from the future, or another App's")
        if claims["exp"] - claims["iat"] > 600:
            raise Refusal(401, None, "'Expiration time' claim ('exp') is too far in the future")
        if claims.get("jti") in self.seen_jti:
            raise Refusal(404, None, "Not Found")
        self.seen_jti[str(claims.get("jti"))] = None
        _bound(self.seen_jti)
        return self._opaque("ghs_", "installation", 3600.0)

    def registration(self, authorization: str) -> tuple[str, float]:
        """Exchange a PAT or installation token for a registration token (protocol 3.2)."""
        token = authorization.removeprefix("Bearer ").removeprefix("token ")
        if not authorization.startswith(("Bearer ", "token ")) or not (
            token == self.options.token or self._opaque_good(token, "installation")
        ):
            raise Refusal(401, None, "Bad credentials")
        return self._opaque("AABB", "registration", 3600.0)

    def admin(self, authorization: str) -> str:
        """Exchange a registration token for an admin token (protocol 3.3)."""
        scheme, _, token = authorization.partition(" ")
        if scheme != "RemoteAuth" or not self._opaque_good(token, "registration"):
            raise Refusal(401, None, "Invalid registration token or scheme")
        return self._signed("admin", self.options.admin_token_ttl)

    def queue(self, session_id: str) -> str:
        """Issue the queue token of a session."""
        return self._signed(f"queue:{session_id}", self.options.queue_token_ttl)

    def check_admin(self, authorization: str) -> None:
        """Refuse everything but an admin token that has not expired."""
        if self._purpose(authorization) != "admin":
            raise bad_token()

    def queue_session(self, authorization: str) -> str:
        """Return the session id of a queue token that has not expired."""
        kind, _, session_id = self._purpose(authorization).partition(":")
        if kind != "queue":
            raise bad_token("The message queue token is expired or invalid.")
        return session_id

    def expire(self) -> None:
        """Make every signed token invalid at once."""
        self.signed.clear()

    def _purpose(self, authorization: str) -> str:
        purpose, expires = self.signed.get(authorization[7:], ("", 0.0))
        if not authorization.startswith("Bearer ") or expires <= self.clock.time():
            return ""
        return purpose

    def _signed(self, purpose: str, seconds: float) -> str:
        expires = self.clock.time() + seconds
        self.issued += 1
        times = {"exp": int(expires), "iat": int(expires - seconds)}
        claims = times | {"sub": purpose, "jti": str(self.issued), "pad": "x" * 400}
        signed = f"{_part({'alg': 'HS256', 'typ': 'JWT'})}.{_part(claims)}"
        token = f"{signed}.{_encoded(hmac.digest(SIGNING_KEY, signed.encode(), hashlib.sha256))}"
        self.signed[token] = (purpose, expires)
        _bound(self.signed)
        return token

    def _opaque(self, prefix: str, purpose: str, seconds: float) -> tuple[str, float]:
        token = f"{prefix}{self.chance.getrandbits(160):040X}"
        expires = self.clock.time() + seconds
        self.rest[token] = (purpose, expires)
        _bound(self.rest)
        return token, expires

    def _opaque_good(self, token: str, purpose: str) -> bool:
        kind, expires = self.rest.get(token, ("", 0.0))
        return kind == purpose and expires > self.clock.time()


def _part(value: dict[str, Any]) -> str:
    return _encoded(json.dumps(value, separators=(",", ":")).encode())


def _encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _bound(kept: dict[str, Any]) -> None:
    """Forget the oldest beyond `MOST_TOKENS`."""
    if len(kept) > MOST_TOKENS:
        del kept[next(iter(kept))]
