"""The URLs of the settings: syntax only, nothing is asked."""

import re
from collections.abc import Collection
from typing import Final
from urllib.parse import SplitResult, urlsplit

from scaleset_client.loopback import is_loopback

__all__ = [
    "CONFIG_URL",
    "PROXY_URL",
    "SHARING_URL",
    "check_config_url",
    "has_password",
    "is_enterprise",
    "is_url",
]

CONFIG_URL: Final = "a URL such as `https://github.com/ORG`, `.../OWNER/REPOSITORY` or `.../enterprises/NAME`"
PROXY_URL: Final = "an http:// or https:// URL of a proxy"
SHARING_URL: Final = "a redis:// or rediss:// URL without options (`?...`)"

_PART: Final = re.compile(r"[A-Za-z0-9._-]+")


def check_config_url(text: str) -> str:
    """Return the URL without outer slashes (protocol 2.1).

    Raises:
        ValueError: It names no scope; the message says what is expected.
    """
    text = text.strip("/")
    url = _split(text)
    if url is None or url.scheme not in {"http", "https"} or url.query or url.fragment:
        raise ValueError(CONFIG_URL)
    if url.username is not None or url.password is not None:
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


def is_url(text: str, schemes: Collection[str]) -> bool:
    """Whether a text is the URL of a server, with one of `schemes`.

    Options are no part of it: a library might take one that says not to check a certificate.
    """
    url = _split(text)
    return url is not None and url.scheme in schemes and "?" not in text and "#" not in text


def has_password(text: str) -> bool:
    """Whether a URL holds a password, or a text might."""
    return "@" in text


def _split(text: str) -> SplitResult | None:
    if not text.isascii() or not text.isprintable() or " " in text:
        return None
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        return None
    return url if url.hostname and port != 0 else None
