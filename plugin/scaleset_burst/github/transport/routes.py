"""Where a request goes: straight to its origin, or through a proxy. Nothing is opened here."""

import base64
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

__all__ = ["Proxy", "Route", "choose_route", "parse_proxy"]

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A proxy; `authorization` is the value of `Proxy-Authorization` and secret."""

    host: str
    port: int
    tls: bool
    authorization: bytes = field(default=b"", repr=False)


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


def parse_proxy(text: str) -> Proxy:
    """Read a proxy's URL; its credentials may be percent-encoded, its scheme left out.

    Raises:
        ValueError: It is no http:// or https:// URL; the message does not repeat it: it may hold a password.
    """
    try:
        url = httpx.URL(text if "://" in text else f"http://{text}")
    except httpx.InvalidURL:
        raise ValueError("the proxy's URL is not valid") from None
    if url.scheme not in _PORTS or not url.host:
        raise ValueError(f"the proxy's URL must start with http:// or https:// and name a host, not {url.scheme}://")
    if (url.port or 0) > 65_535:  # asyncio raises an IndexError for such a port
        raise ValueError(f"the proxy's URL names the port {url.port}, which does not exist")
    credentials = f"{url.username}:{url.password}".encode() if url.userinfo else b""
    return Proxy(
        host=url.raw_host.decode("ascii"),
        port=url.port or _PORTS[url.scheme],
        tls=url.scheme == "https",
        authorization=b"Basic " + base64.b64encode(credentials) if credentials else b"",
    )


def choose_route(url: httpx.URL, proxy: Proxy | None, environ: Mapping[str, str]) -> Route:
    """Return the way to the URL's origin.

    An explicit proxy takes everything. Otherwise HTTPS_PROXY or HTTP_PROXY, then ALL_PROXY, count (lower case
    first, as curl does), except for what NO_PROXY names and for this machine itself.

    Raises:
        httpx.UnsupportedProtocol: Not an http:// or https:// URL with a host.
        httpx.ProxyError: The environment names a proxy that is none.
    """
    if url.scheme not in _PORTS or not url.host:
        raise httpx.UnsupportedProtocol(f"not an http:// or https:// URL with a host: {url.scheme}://{url.host}")
    host = url.raw_host.decode("ascii")
    port = url.port or _PORTS[url.scheme]
    if proxy is None and not _is_loopback(host) and not _is_exempt(host, port, _lookup(environ, "no_proxy")):
        text = _lookup(environ, f"{url.scheme}_proxy") or _lookup(environ, "all_proxy")
        try:
            proxy = parse_proxy(text) if text else None
        except ValueError as error:
            raise httpx.ProxyError(f"{error} (from the environment)") from None
    return Route(host=host, port=port, tls=url.scheme == "https", proxy=proxy)


def _lookup(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name) or environ.get(name.upper()) or ""


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return address.is_loopback if address else host == "localhost" or host.endswith(".localhost")


def _is_exempt(host: str, port: int, rules: str) -> bool:
    return any(_matches(host.lower(), port, rule.strip().lower()) for rule in rules.split(",") if rule.strip())


def _matches(host: str, port: int, rule: str) -> bool:
    """Whether a rule of NO_PROXY names the host: `*`, a domain, an address, a network; maybe with a port."""
    if rule == "*":
        return True
    name, colon, number = rule.rpartition(":")
    if colon and number.isdigit() and ("]" in name or ":" not in name):
        if int(number) != port:
            return False
        rule = name
    rule = rule.strip("[]")
    address = _address(host)
    if address is None:
        domain = rule.removeprefix("*").removeprefix(".")
        return host == domain or host.endswith(f".{domain}")
    try:
        return address in ipaddress.ip_network(rule, strict=False)
    except ValueError:
        return False
