"""The section `github` of a configuration: where runners are registered, and as whom.

For hosts and plugins that read a file with `scaleset_hookspecs.configuration`. It needs pydantic, so nothing
else of the client imports it.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import BeforeValidator, ConfigDict, Field, SecretStr, ValidationInfo

from scaleset_client.loopback import is_loopback
from scaleset_client.options import AppCredentials, Credentials, TokenCredentials
from scaleset_hookspecs.configuration import (
    REFERENCE,
    Accepts,
    JsonSchema,
    Mistake,
    Section,
    Text,
    View,
    Whole,
    describe,
    refusal,
    rereader,
    resolve,
    reveal,
)
from scaleset_hookspecs.configuration.fields import REFERENCE_SCHEMA, is_url
from scaleset_hookspecs.configuration.schema import exactly_one

__all__ = [
    "GITHUB_CHECKS",
    "AppSettings",
    "GitHubSettings",
    "ScaleSetName",
    "check_config_url",
    "is_enterprise",
]

CONFIG_URL: Final = "a URL such as `https://github.com/ORG`, `.../OWNER/REPOSITORY` or `.../enterprises/NAME`"

_KEY_BEGINS: Final = ("-----BEGIN PRIVATE KEY-----", "-----BEGIN RSA PRIVATE KEY-----")
_PART: Final = re.compile(r"[A-Za-z0-9._-]+")


def check_config_url(text: str) -> str:
    """Return the URL without outer slashes (protocol 2.1); nothing is asked.

    Raises:
        ValueError: It names no scope; the message says what is expected.
    """
    text = text.strip("/")
    if not is_url(text, {"http", "https"}):
        raise ValueError(CONFIG_URL)
    url = urlsplit(text)
    if "@" in url.netloc:
        raise ValueError(f"{CONFIG_URL}, without a user name or password")
    if url.scheme == "http" and not is_loopback(url.hostname or ""):
        raise ValueError("https://; http:// goes to this machine only, such as `http://localhost:8080/ORG`")
    parts = url.path.strip("/").split("/")
    if not 1 <= len(parts) <= 2 or not all(_PART.fullmatch(part) for part in parts):
        raise ValueError(CONFIG_URL)
    if len(parts) == 1 and parts[0].lower() == "enterprises":
        raise ValueError("the enterprise's name after `enterprises/`")
    if len(parts) == 2 and parts[0].lower() == "orgs":
        raise ValueError(f"the organisation without `orgs/`: `{url.scheme}://{url.netloc}/{parts[1]}`")
    return text


def is_enterprise(config_url: str) -> bool:
    """Whether a good config URL names an enterprise (protocol 2.1)."""
    return urlsplit(config_url.strip("/")).path.strip("/").lower().startswith("enterprises/")


def _config_url(value: object) -> str:
    if not isinstance(value, str):
        raise refusal(describe(value), CONFIG_URL)
    try:
        return check_config_url(value)
    except ValueError as error:
        expected = str(error)
    raise refusal("a URL with a user name or password" if "@" in value else describe(value), expected)


def _token(value: object, info: ValidationInfo) -> SecretStr:
    secret = resolve(value, info.context)
    text = secret.get_secret_value()
    if not text.isascii() or not text.isprintable() or " " in text:
        raise refusal(
            f"a secret of {len(text)} characters with blanks, line breaks or other foreign characters",
            "a token on one line",
        )
    return secret


def _private_key(value: object, info: ValidationInfo) -> SecretStr:
    secret = resolve(value, info.context)
    text = secret.get_secret_value().strip()
    if not text.startswith(_KEY_BEGINS) or not text.endswith("PRIVATE KEY-----") or "\n" not in text:
        found = f"a secret of {len(text)} characters that is not a PEM key"
        expected = "a private key in PEM form, from `-----BEGIN` to `-----END`, with its line breaks"
        raise refusal(found, expected)
    return secret


def _scale_set_name(value: object) -> str:
    if isinstance(value, str) and value.strip() == value and 0 < len(value) <= 128 and value.isprintable():
        return value
    raise refusal(f"the name {describe(value)}", "a scale set's name: one line without outer blanks")


ConfigUrl = Annotated[str, BeforeValidator(_config_url), Accepts(CONFIG_URL), JsonSchema({"type": "string"})]
"""The URL of a scope (protocol 2.1)."""

Token = Annotated[
    SecretStr,
    BeforeValidator(_token),
    Accepts(f"{REFERENCE}, to a token on one line", secret=True),
    JsonSchema(REFERENCE_SCHEMA),
]
"""A token by reference."""

PrivateKey = Annotated[
    SecretStr,
    BeforeValidator(_private_key),
    Accepts(f"{REFERENCE}, to a private key in PEM form", secret=True),
    JsonSchema(REFERENCE_SCHEMA),
]
"""A PEM private key by reference."""

ScaleSetName = Annotated[str, BeforeValidator(_scale_set_name)]
"""The name of a scale set."""


class AppSettings(Section):
    """Credentials of a GitHub App installation."""

    client_id: Text = Field(description="The App's client id (or its numeric id as text).")
    installation_id: Whole = Field(ge=1, description="Id of the App's installation in the scope.")
    private_key: PrivateKey = Field(description="The App's private key (PEM), by reference.")


class GitHubSettings(Section):
    """Where to register runners, and as whom. Exactly one of `token` and `app`."""

    model_config = ConfigDict(json_schema_extra=exactly_one("token", "app"))

    config_url: ConfigUrl = Field(description="Web URL of the enterprise, organisation or repository.")
    token: Token | None = Field(default=None, description="A personal access token, by reference.")
    app: AppSettings | None = Field(default=None, description="A GitHub App, instead of a token.")

    def credentials(self) -> Credentials:
        """Return what a client is made from."""
        if self.app is None:
            return TokenCredentials(token=reveal(self.token) or "", again=rereader(self.token))
        return AppCredentials(
            client_id=self.app.client_id,
            installation_id=self.app.installation_id,
            private_key=reveal(self.app.private_key) or "",
            again=rereader(self.app.private_key),
        )


def _one_credential(view: View) -> Iterator[Mistake]:
    if view.get("github") is None:
        return
    given = [key for key in ("token", "app") if view.has("github", key)]
    if len(given) != 1:
        found = "both `token` and `app`" if given else "neither `token` nor `app`"
        yield Mistake(path=("github",), found=found, expected="exactly one of `token` and `app`")


def _no_app_for_enterprises(view: View) -> Iterator[Mistake]:
    """An App cannot register runners for an enterprise (protocol 3.1)."""
    if view.get("github") is None:
        return
    url = view.get("github", "config_url")
    if isinstance(url, str) and is_enterprise(url) and view.has("github", "app"):
        expected = "`token`; an App cannot act for an enterprise"
        yield Mistake(path=("github", "app"), found="a GitHub App for an enterprise", expected=expected)


GITHUB_CHECKS: Final = (_one_credential, _no_app_for_enterprises)
"""What must hold between the settings of a model's section `github`."""
