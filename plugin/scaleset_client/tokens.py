"""The life of tokens as decisions over values (protocol 3.2 to 3.4); nothing here reads a clock."""

import base64
import json
import uuid
from dataclasses import dataclass, field
from enum import Enum, auto

from scaleset_client.decoding import integer
from scaleset_client.options import AppCredentials
from scaleset_hookspecs.errors import UsageError

__all__ = ["Refusal", "Renewal", "Token", "after_refusal", "app_jwt", "jwt_times", "renewal", "token_of_jwt"]

BLIND_LIFETIME = 600.0
"""Seconds a token without a readable end is used before it is renewed."""

REUSE_MARGIN = 120.0
"""Seconds before its end a token is renewed in the background, if its lifetime allows."""

LAST_MARGIN = 10.0
"""Seconds before its end a token is no longer used, if its lifetime allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token with the times that matter; both are Unix times on this machine's clock."""

    value: str = field(repr=False)
    obtained_at: float
    expires_at: float


class Renewal(Enum):
    """Whether a token is due to be renewed before a request."""

    NOT_YET = auto()
    """Use the token."""
    AHEAD = auto()
    """Use the token, and renew it in the background."""
    NOW = auto()
    """Get a new token first."""


def renewal(token: Token | None, now: float) -> Renewal:
    """Say what to do with the token held; margins shrink with lifetimes, so a short token is used at all."""
    if token is None:
        return Renewal.NOW
    lifetime = max(token.expires_at - token.obtained_at, 0.0)
    left = token.expires_at - now
    if left > REUSE_MARGIN:  # no margin is larger; nearly every request ends here
        return Renewal.NOT_YET
    if left <= min(LAST_MARGIN, lifetime * 0.05):
        return Renewal.NOW
    return Renewal.AHEAD if left <= min(REUSE_MARGIN, lifetime * 0.25) else Renewal.NOT_YET


def jwt_times(token: str) -> tuple[float | None, float | None]:
    """Return `iat` and `exp` of a JWT without checking its signature: we have no key (protocol 3.4)."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError, RecursionError):
        return None, None
    if not isinstance(claims, dict):
        return None, None
    issued, expires = _seconds(claims.get("iat")), _seconds(claims.get("exp"))
    return issued, expires


def _seconds(value: object) -> float | None:
    if isinstance(value, float) and abs(value) < 1e15:
        return value
    number = integer(value)
    return None if number is None else float(number)


def token_of_jwt(value: str, now: float) -> Token:
    """Return a token whose end its `exp` says.

    A token that arrives dead by our clock means that the clocks disagree. Then its own lifetime counts from now,
    since otherwise every request would fetch a new one.
    """
    issued, expires = jwt_times(value)
    if expires is None:
        return Token(value=value, obtained_at=now, expires_at=now + BLIND_LIFETIME)
    if expires <= now:
        lifetime = expires - issued if issued is not None else 0.0
        expires = now + min(max(lifetime, 30.0), BLIND_LIFETIME)
    return Token(value=value, obtained_at=now, expires_at=expires)


class Refusal(Enum):
    """What to do when the admin connection is refused with 401 or 403 (protocol 3.3)."""

    REPLACE = auto()
    """The registration token is not new: get a new one and ask again at once."""
    WAIT = auto()
    """A new token may not be known everywhere yet: wait, then ask again."""
    GIVE_UP = auto()
    """The credentials are bad."""


SETTLED = 10.0
"""Seconds after which a registration token is known to whoever checks it."""


def after_refusal(refusals: int, token_age: float, *, replaced: bool, clear: bool) -> Refusal:
    """Say what to do after a refusal that is not a rate limit.

    Args:
        refusals: How many there were, this one included.
        token_age: Seconds since the registration token was obtained.
        replaced: Whether a reused token was replaced already.
        clear: Whether the body says that the credentials are bad.
    """
    if token_age > SETTLED / 2 and not replaced and refusals == 1:
        return Refusal.REPLACE
    most = 3 if clear else 6
    if refusals >= most or (refusals >= 2 and token_age > SETTLED):
        return Refusal.GIVE_UP
    return Refusal.WAIT


APP_SKEW = 60
"""Seconds `iat` lies in the past, for a clock that is ahead of GitHub's."""

APP_LIFETIME = 540
"""Seconds from `iat` to `exp`; GitHub's ceiling is ten minutes."""


def app_jwt(credentials: AppCredentials, now: float) -> str:
    """Return the signed JWT by which a GitHub App says who it is (protocol 3.1), different at each call.

    Raises:
        UsageError: The signing library is missing, or the key is not an RSA key in PEM form.
    """
    import jwt.algorithms  # noqa: PLC0415  # with its cryptography a tenth of a start that needs neither

    if not jwt.algorithms.has_crypto:
        raise UsageError("credentials of a GitHub App need a signing library: pip install 'scaleset-burst[app]'")
    issued = int(now) - APP_SKEW
    claims = {"iat": issued, "exp": issued + APP_LIFETIME, "iss": credentials.client_id, "jti": uuid.uuid4().hex}
    try:
        return jwt.encode(claims, credentials.private_key, algorithm="RS256")
    except (ValueError, TypeError, AttributeError, jwt.PyJWTError):  # it takes a public key until it signs
        # The library's error may quote the key: do not chain it.
        raise UsageError("the GitHub App's private key is not an RSA key in PEM form") from None
