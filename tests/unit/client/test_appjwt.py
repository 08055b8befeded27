"""The App's JWT, where it cannot be made (protocol 3.1); where it can, see `test_auth`."""

import jwt.algorithms
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from scaleset_client import AppCredentials
from scaleset_client.tokens import app_jwt
from scaleset_hookspecs import UsageError

BAD_KEY = "-----BEGIN RSA PRIVATE KEY-----\nSECRETKEY\n-----END RSA PRIVATE KEY-----"


def test_a_public_key_is_refused_like_any_other_text() -> None:
    """It is the file beside the right one."""
    pair = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    key = pair.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    with pytest.raises(UsageError, match="PEM"):
        app_jwt(AppCredentials(client_id="c", installation_id=1, private_key=key), 1e9)


@pytest.mark.parametrize("key", ["", "SECRETKEY", BAD_KEY])
def test_a_key_that_is_none_is_refused_without_quoting_it(key: str) -> None:
    """The error says what is wrong, not what stands there."""
    credentials = AppCredentials(client_id="c", installation_id=1, private_key=key)
    with pytest.raises(UsageError, match="PEM") as caught:
        app_jwt(credentials, 1e9)
    assert caught.value.__cause__ is None
    assert "SECRETKEY" not in f"{caught.value}{credentials!r}"


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    monkeypatch.setattr(jwt.algorithms, "has_crypto", False)
    with pytest.raises(UsageError, match=r"pip install 'scaleset-burst\[app\]'"):
        app_jwt(AppCredentials(client_id="c", installation_id=1, private_key="k"), 1e9)
