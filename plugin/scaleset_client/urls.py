"""Addresses: config URLs, the hosts they lead to, and endpoint paths below a base (protocol section 2)."""

from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import SplitResult, parse_qsl, quote, unquote_plus, urlsplit, urlunsplit

from scaleset_client.loopback import is_loopback
from scaleset_hookspecs.errors import UsageError

__all__ = [
    "ConfigUrl",
    "ScopeKind",
    "acknowledge_url",
    "endpoint_url",
    "is_secure",
    "parse_config_url",
    "poll_url",
]

HOSTED = frozenset({"github.com", "www.github.com", "github.localhost"})
VERSION = "api-version"
SCHEMES = frozenset({"http", "https"})


class ScopeKind(StrEnum):
    """Where runners are registered; the value is the path part of the REST endpoints (protocol 3.2)."""

    ENTERPRISE = "enterprises"
    ORGANISATION = "orgs"
    REPOSITORY = "repos"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigUrl:
    """A config URL, understood.

    Attributes:
        text: The URL without outer slashes, as it is sent in the registration step.
        kind: Enterprise, organisation or repository.
        target: Its path below the REST endpoints: `acme`, or `acme/app`.
        api_base: Base of the GitHub API calls of the token chain.
        scope: Host and path in lower case: one text for all spellings of the same scope.
    """

    text: str
    kind: ScopeKind
    target: str
    api_base: str
    scope: str


def parse_config_url(text: str, *, force_ghes: bool = False) -> ConfigUrl:
    """Understand a config URL (protocol 2.1 and 2.2).

    Args:
        text: Web URL of an enterprise, organisation or repository.
        force_ghes: Whether GITHUB_ACTIONS_FORCE_GHES is present, which makes every host a GHES.

    Raises:
        UsageError: It names no scope, or would send credentials in clear text over a network.
    """
    stripped = text.strip().strip("/")
    parts = _split(stripped)
    if parts is None or parts.scheme not in SCHEMES or not parts.hostname:
        raise UsageError("a config URL looks like https://github.com/ORG; this one has no http(s) scheme or no host")
    if parts.username or parts.password:
        raise UsageError("a config URL holds no user name or password; give the credentials on their own")
    if not is_secure(stripped):
        raise UsageError(f"plain http is for this machine only; use https:// for {parts.hostname}")
    kind, target = _scope(parts.path)
    return ConfigUrl(
        text=stripped,
        kind=kind,
        target=target,
        api_base=_api_base(parts, force_ghes=force_ghes),
        scope=f"{parts.netloc}/{parts.path.strip('/')}".lower(),
    )


def _split(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018  # the port is only checked when it is read
    except ValueError:
        return None
    return parts


def _scope(path: str) -> tuple[ScopeKind, str]:
    parts = path.strip("/").split("/")
    match parts:
        case [first, name] if first.lower() == "enterprises" and name:
            return ScopeKind.ENTERPRISE, name
        case [owner, name] if owner and name:
            return ScopeKind.REPOSITORY, f"{owner}/{name}"
        case [name] if name:
            return ScopeKind.ORGANISATION, name
        case _:
            raise UsageError("a config URL ends in /ORG, /OWNER/REPO or /enterprises/NAME")


def _api_base(parts: SplitResult, *, force_ghes: bool) -> str:
    host = parts.netloc.lower()
    hosted = host in HOSTED or host.endswith(".ghe.com")
    if not hosted or force_ghes:
        return f"{parts.scheme}://{parts.netloc}/api/v3"
    return f"{parts.scheme}://api.{host.removeprefix('www.')}"


def is_secure(url: str) -> bool:
    """Say whether tokens may be sent there: https anywhere, plain http to this machine only."""
    parts = _split(url)
    if parts is None or not parts.hostname:
        return False
    if parts.scheme == "https":
        return True
    # What stands before an @ may look like a host to one reader and not to another.
    return parts.scheme == "http" and "@" not in parts.netloc and is_loopback(parts.hostname)


def endpoint_url(base: str, path: str, query: tuple[tuple[str, str], ...] = ()) -> str:
    """Append an endpoint's path and query to a base that may have both (protocol 2.3).

    The base's own parameters are kept byte for byte, but those of the endpoint win. Only the API version is the base's
    to say, if it says one (protocol 4.1).
    """
    parts = urlsplit(base)
    if any(name == VERSION and value for name, value in parse_qsl(parts.query)):
        query = tuple(pair for pair in query if pair[0] != VERSION)
    joined = f"{parts.path.rstrip('/')}/{path.lstrip('/')}"
    return urlunsplit((parts.scheme, parts.netloc, joined, _merge(parts.query, query), ""))


def _merge(query: str, extra: tuple[tuple[str, str], ...]) -> str:
    names = {name for name, _ in extra}
    kept = [piece for piece in query.split("&") if piece and unquote_plus(piece.partition("=")[0]) not in names]
    added = [f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in extra]
    return "&".join([*kept, *added])


def poll_url(queue_url: str, last_message_id: int) -> str:
    """Return the URL of a poll: the queue's own query, and the cursor if there is one (protocol 6.2)."""
    extra = (("lastMessageId", str(last_message_id)),) if last_message_id > 0 else ()
    parts = urlsplit(queue_url)
    return urlunsplit((parts.scheme, parts.netloc, parts.path, _merge(parts.query, extra), ""))


def acknowledge_url(queue_url: str, message_id: int) -> str:
    """Return the URL that deletes one message (protocol 6.3)."""
    return endpoint_url(queue_url, str(message_id))
