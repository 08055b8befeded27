"""Config URLs, hosts and endpoint addresses (protocol section 2)."""

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleset_client.urls import (
    ScopeKind,
    acknowledge_url,
    endpoint_url,
    is_secure,
    parse_config_url,
    poll_url,
)
from scaleset_hookspecs import UsageError


@pytest.mark.parametrize(
    ("text", "kind", "target", "api_base"),
    [
        ("https://github.com/acme", ScopeKind.ORGANISATION, "acme", "https://api.github.com"),
        ("https://github.com/acme/", ScopeKind.ORGANISATION, "acme", "https://api.github.com"),
        ("https://www.github.com/acme", ScopeKind.ORGANISATION, "acme", "https://api.github.com"),
        ("https://GitHub.com/Acme/App", ScopeKind.REPOSITORY, "Acme/App", "https://api.github.com"),
        ("https://github.com/Enterprises/big", ScopeKind.ENTERPRISE, "big", "https://api.github.com"),
        ("https://acme.ghe.com/acme/app", ScopeKind.REPOSITORY, "acme/app", "https://api.acme.ghe.com"),
        ("http://github.localhost/acme", ScopeKind.ORGANISATION, "acme", "http://api.github.localhost"),
        ("https://ghes.example.com/acme", ScopeKind.ORGANISATION, "acme", "https://ghes.example.com/api/v3"),
        ("https://github.com:8443/acme", ScopeKind.ORGANISATION, "acme", "https://github.com:8443/api/v3"),
        ("http://localhost:8080/acme", ScopeKind.ORGANISATION, "acme", "http://localhost:8080/api/v3"),
        ("https://notgithub.com/acme", ScopeKind.ORGANISATION, "acme", "https://notgithub.com/api/v3"),
        ("https://github.com/acme?a=b#c", ScopeKind.ORGANISATION, "acme", "https://api.github.com"),
    ],
)
def test_config_urls(text: str, kind: ScopeKind, target: str, api_base: str) -> None:
    """The tables of 2.1 and 2.2."""
    config = parse_config_url(text)
    assert (config.kind, config.target, config.api_base) == (kind, target, api_base)
    assert config.text == text.strip("/")


def test_ghes_can_be_forced() -> None:
    """The presence of the variable makes every host a GHES."""
    forced = parse_config_url("https://acme.ghe.com/acme", force_ghes=True)
    assert forced.api_base == "https://acme.ghe.com/api/v3"
    assert parse_config_url("https://github.com/a", force_ghes=True).api_base == "https://github.com/api/v3"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "acme",
        "github.com/acme",
        "https://github.com",
        "https://github.com//",
        "https://github.com/a/b/c",
        "https://github.com/enterprises/a/b",
        "https://github.com/a//b",
        "ftp://github.com/acme",
        "https:///acme",
        "https://github.com:port/acme",
        "https://[::1/acme",
        "https://user:secret@github.com/acme",
        "http://github.com/acme",
        "http://10.0.0.1/acme",
        "http://localhost.example.com/acme",
    ],
)
def test_what_is_no_config_url_is_refused_without_quoting_it(text: str) -> None:
    """A refusal never repeats what may hold a password."""
    with pytest.raises(UsageError) as caught:
        parse_config_url(text)
    assert "secret" not in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_is_understood_or_refused(text: str) -> None:
    """Nothing but `UsageError` comes out, and what is understood has a secure base."""
    for candidate in (text, f"https://github.com/{text}", f"https://{text}/acme"):
        try:
            config = parse_config_url(candidate)
        except UsageError:
            continue
        assert is_secure(config.api_base)


def test_spellings_of_one_scope_are_one_text() -> None:
    """Limits are kept per scope, however it is written."""
    assert parse_config_url("https://GitHub.com/Acme/").scope == parse_config_url("https://github.com/acme").scope
    assert parse_config_url("https://github.com/acme").scope == "github.com/acme"


@pytest.mark.parametrize(
    ("url", "secure"),
    [
        ("https://anywhere", True),
        ("http://127.8.9.10:1/x", True),
        ("http://[::1]:80", True),
        ("http://localhost", True),
        ("http://a.localhost", True),
        ("http://192.168.0.1", False),
        ("http://128.0.0.1", False),
        ("http://[::2]", False),
        ("ws://localhost", False),
        ("http://localhost.:8080", True),
        ("http://LOCALHOST", True),
        ("http://[::ffff:127.0.0.1]", True),
        ("http://127.1", False),
        ("http://0x7f.1", False),
        ("http://2130706433", False),
        ("http://0177.0.0.1", False),
        ("http://0.0.0.0", False),
        ("http://[::]", False),
        ("http://[::1%25eth0]", False),
        ("http://[::ffff:10.0.0.1]", False),
        ("http://localhost..", False),
        ("http://.localhost.evil.example", False),
        ("http://localhost@evil.example", False),
        ("http://evil.example@localhost", False),
        ("http://evil.example\\@localhost", False),
        ("http://localhost#@evil.example", True),
        ("http://localhost%2eevil.example", False),
        ("", False),
        ("https://", False),
        ("http://[", False),
    ],
)
def test_plain_http_is_for_this_machine_only(url: str, secure: bool) -> None:
    """Tokens go over https, or nowhere."""
    assert is_secure(url) is secure


@pytest.mark.parametrize(
    ("base", "path", "query", "expected"),
    [
        ("https://h/rest", "a/b", (), "https://h/rest/a/b"),
        ("https://h/rest/", "/a", (), "https://h/rest/a"),
        ("https://h", "a/", (("n", "x y&z"),), "https://h/a/?n=x%20y%26z"),
        ("https://h/t?k=v%2B1&api-version=5", "a", (("api-version", "6"),), "https://h/t/a?k=v%2B1&api-version=5"),
        ("https://h/t?api-version=", "a", (("api-version", "6"),), "https://h/t/a?api-version=6"),
        ("https://h/t?%6B=1&z=", "a", (("k", "2"),), "https://h/t/a?z=&k=2"),
        ("https://h/t#part", "a", (), "https://h/t/a"),
    ],
)
def test_endpoints_are_appended(base: str, path: str, query: tuple[tuple[str, str], ...], expected: str) -> None:
    """Path and query of the base are kept; the endpoint's parameters win, but for the API version."""
    assert endpoint_url(base, path, query) == expected


@given(st.text(max_size=20), st.text(max_size=20))
def test_every_value_survives_the_query(name: str, value: str) -> None:
    """Whatever a name holds, the service reads the same."""
    query = urlsplit(endpoint_url("https://h/?a=1", "p", ((f"x{name}", value),))).query
    assert parse_qsl(query, keep_blank_values=True) == [("a", "1"), (f"x{name}", value)]


@pytest.mark.parametrize(
    ("queue", "last", "expected"),
    [
        ("https://b/message", 0, "https://b/message"),
        ("https://b/message", 7, "https://b/message?lastMessageId=7"),
        ("https://b/message?s=1", 7, "https://b/message?s=1&lastMessageId=7"),
        ("https://b/message?lastMessageId=3&s=1", 7, "https://b/message?s=1&lastMessageId=7"),
        ("https://b/message?s=1", 0, "https://b/message?s=1"),
    ],
)
def test_the_cursor_is_added_to_the_queue_url(queue: str, last: int, expected: str) -> None:
    """Protocol 6.2; there is no api-version here."""
    assert poll_url(queue, last) == expected


def test_a_message_is_deleted_below_the_queue_url() -> None:
    """Protocol 6.3: the same query, one more part of the path."""
    assert acknowledge_url("https://b/message?s=1", 2**40) == f"https://b/message/{2**40}?s=1"
