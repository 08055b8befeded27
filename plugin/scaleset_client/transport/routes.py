"""Where a request goes: straight to its origin, or through a proxy. Nothing is opened here."""

import base64
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from scaleset_client.loopback import is_loopback, literal_address
from scaleset_client.transport.failures import NotSent

__all__ = ["Proxy", "Route", "choose_route", "parse_proxy", "server_name"]

_PORTS = {"http": 80, "https": 443}
_OPTION = "the option `proxy` (`plugins.burst.connections.proxy`)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A proxy; `authorization` is the value of `Proxy-Authorization` and secret, `source` who named the proxy."""

    host: str
    port: int
    tls: bool
    authorization: bytes = field(default=b"", repr=False)
    source: str = field(default=_OPTION, compare=False)

    def __str__(self) -> str:
        """Return what an error calls it."""
        return f"the proxy {self.host}:{self.port} of {self.source}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The way to one origin."""

    host: str
    port: int
    tls: bool
    proxy: Proxy | None = None

    @property
    def authority(self) -> str:
        """Host and port, as a CONNECT request names them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def prefix(self) -> bytes:
        """What stands before the path in a request line: nothing, but for a plain target through a proxy."""
        return b"" if self.proxy is None or self.tls else f"http://{self.authority}".encode("ascii")

    @property
    def authorization(self) -> bytes:
        """The `Proxy-Authorization` that each request carries; that of a tunnel goes with its CONNECT."""
        return b"" if self.proxy is None or self.tls else self.proxy.authorization


def parse_proxy(text: str, source: str = _OPTION) -> Proxy:
    """Read a proxy's URL; its credentials may be percent-encoded, its scheme left out.

    Raises:
        ValueError: It is no http:// or https:// URL; the message does not repeat it: it may hold a password.
    """
    text = text.strip()
    try:
        url = httpx.URL(text if "://" in text else f"http://{text}")
        host = url.raw_host.decode("ascii")
    except (httpx.InvalidURL, UnicodeError):
        raise ValueError(f"the proxy's URL in {source} is not valid") from None
    if url.scheme not in _PORTS:
        known = f"not {url.scheme}://" if re.fullmatch("socks[45][ah]?", url.scheme) else "another scheme does not work"
        raise ValueError(f"the proxy's URL in {source} must start with http:// or https://, {known}")
    if not re.fullmatch(r"[\w.:-]+", host, re.ASCII):
        raise ValueError(f"the proxy's URL in {source} names no host")
    if url.port is not None and not 0 < url.port <= 65_535:
        raise ValueError(f"the proxy's URL in {source} names a port that does not exist")
    if url.raw_path not in {b"", b"/"}:
        raise ValueError(f"the proxy's URL in {source} must end after its host and port")
    credentials = f"{url.username}:{url.password}".encode() if url.userinfo else b""
    return Proxy(
        host=host,
        port=url.port or _PORTS[url.scheme],
        tls=url.scheme == "https",
        authorization=b"Basic " + base64.b64encode(credentials) if credentials else b"",
        source=source,
    )


def choose_route(url: httpx.URL, proxy: Proxy | None, environ: Mapping[str, str]) -> Route:
    """Return the way to the URL's origin.

    What is on this machine is never asked of a proxy: it would read the tokens, and look on its own machine. Everything
    else is, if a proxy is set. Otherwise HTTPS_PROXY or HTTP_PROXY, then ALL_PROXY, count (lower case first, as curl
    does), except for what NO_PROXY names.

    Raises:
        NotSent: It is no http:// or https:// URL with a host; or, lasting, the environment names a proxy that is none.
    """
    if url.scheme not in _PORTS or not url.host:
        raise NotSent(f"not an http:// or https:// URL with a host: {url.scheme}://{url.host}")
    host = url.raw_host.decode("ascii")
    port = url.port or _PORTS[url.scheme]
    if is_loopback(host):
        proxy = None
    elif proxy is None and not _is_exempt(host, port, _lookup(environ, "no_proxy")[1]):
        proxy = _named(environ, f"{url.scheme}_proxy", "all_proxy")
    return Route(host=host, port=port, tls=url.scheme == "https", proxy=proxy)


def server_name(host: str) -> str:
    """Return the name that a certificate holds: without the dot of an absolute name (RFC 6066 section 3)."""
    return host.removesuffix(".")


def _named(environ: Mapping[str, str], *names: str) -> Proxy | None:
    for name in names:
        variable, text = _lookup(environ, name)
        if text:
            try:
                return parse_proxy(text, variable)
            except ValueError as error:
                raise NotSent(str(error), lasting=True) from None
    return None


def _lookup(environ: Mapping[str, str], name: str) -> tuple[str, str]:
    """Return the variable that counts, and its text."""
    found = ((variable, environ.get(variable, "").strip()) for variable in (name, name.upper()))
    return next((pair for pair in found if pair[1]), (name, ""))


def _is_exempt(host: str, port: int, rules: str) -> bool:
    name = server_name(host.lower())
    return any(_matches(name, port, rule.lower()) for rule in re.split(r"[,\s]+", rules) if rule)


def _matches(host: str, port: int, rule: str) -> bool:
    """Whether a rule of NO_PROXY names the host: `*`, a domain, an address, a network; maybe with a port."""
    if rule == "*":
        return True
    name, colon, number = rule.rpartition(":")
    if colon and number.isascii() and number.isdigit() and ("]" in name or ":" not in name):
        if int(number) != port:
            return False
        rule = name
    rule = rule.strip("[]")
    address = literal_address(host)
    if address is None:
        domain = server_name(rule.removeprefix("*").removeprefix("."))
        return bool(domain) and (host == domain or host.endswith(f".{domain}"))
    try:
        return address in ipaddress.ip_network(rule, strict=False)
    except ValueError:
        return False
