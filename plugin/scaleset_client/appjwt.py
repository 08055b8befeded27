"""The JWT by which a GitHub App says who it is (protocol 3.1)."""

import uuid

import jwt
import jwt.algorithms

from scaleset_client.credentials import AppCredentials
from scaleset_hookspecs.errors import UsageError

__all__ = ["app_jwt"]

SKEW = 60
"""Seconds `iat` lies in the past, for a clock that is ahead of GitHub's."""

LIFETIME = 540
"""Seconds from `iat` to `exp`; GitHub's ceiling is ten minutes."""


def app_jwt(credentials: AppCredentials, now: float) -> str:
    """Return a signed JWT, different at each call.

    Raises:
        UsageError: The signing library is missing, or the key is not an RSA key in PEM form.
    """
    if not jwt.algorithms.has_crypto:
        raise UsageError("credentials of a GitHub App need a signing library: pip install 'scaleset-burst[app]'")
    issued = int(now) - SKEW
    claims = {"iat": issued, "exp": issued + LIFETIME, "iss": credentials.client_id, "jti": uuid.uuid4().hex}
    try:
        return jwt.encode(claims, credentials.private_key, algorithm="RS256")
    except (ValueError, TypeError, AttributeError, jwt.PyJWTError):  # it takes a public key until it signs
        # The library's error may quote the key: do not chain it.
        raise UsageError("the GitHub App's private key is not an RSA key in PEM form") from None
