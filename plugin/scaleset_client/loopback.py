"""This machine: which host names and addresses mean it. The one test for all of the code."""

from ipaddress import IPv4Address, IPv6Address, ip_address

__all__ = ["LOOPBACK", "is_loopback", "is_loopback_address", "literal_address"]

LOOPBACK = ("127.0.0.1", "::1")
"""Where `localhost` leads; no resolver is asked for it (RFC 6761 section 6.3)."""


def is_loopback(host: str) -> bool:
    """Whether a host of a URL can only mean this machine: `localhost`, a name below it, or a loopback address.

    Other spellings that a resolver might take for one (`127.1`, `0x7f.1`, `0.0.0.0`) are names of unknown machines.
    """
    name = host.lower().removesuffix(".")
    return name == "localhost" or name.endswith(".localhost") or is_loopback_address(host)


def is_loopback_address(text: str) -> bool:
    """Whether a text is a loopback address, literally."""
    address = literal_address(text)
    return address is not None and address.is_loopback


def literal_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address that a text is, `None` if it is something else; an IPv4 one in IPv6's form is itself."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    return None if address.scope_id else address.ipv4_mapped or address
