"""Which way a request takes."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleset_client.transport.failures import NotSent
from scaleset_client.transport.routes import Proxy, choose_route, parse_proxy

PROXIES = {"https_proxy": "http://proxy.example:3128", "http_proxy": "http://plain.example"}


@pytest.mark.parametrize(
    ("url", "environ", "host"),
    [
        ("https://api.github.com/x", PROXIES, "proxy.example"),
        ("http://api.github.com/x", PROXIES, "plain.example"),
        ("https://api.github.com/x", {"HTTPS_PROXY": "upper.example"}, "upper.example"),
        ("https://api.github.com/x", {"HTTPS_PROXY": "upper.example", **PROXIES}, "proxy.example"),
        ("https://api.github.com/x", {"ALL_PROXY": "all.example"}, "all.example"),
        ("https://api.github.com/x", {"http_proxy": "plain.example"}, None),
        ("https://api.github.com/x", {}, None),
        ("https://localhost/x", PROXIES, None),
        ("https://sim.localhost/x", PROXIES, None),
        ("https://127.8.8.8/x", PROXIES, None),
        ("https://[::1]/x", PROXIES, None),
        ("https://10.0.0.1/x", PROXIES, "proxy.example"),
    ],
)
def test_the_environment_decides_when_no_proxy_is_set(url: str, environ: dict[str, str], host: str | None) -> None:
    proxy = choose_route(httpx.URL(url), None, environ).proxy
    assert (proxy.host if proxy else None) == host


@pytest.mark.parametrize(
    ("host", "rules", "spared"),
    [
        ("api.github.com", "github.com", True),
        ("api.github.com", ".github.com", True),
        ("api.github.com", "*.github.com", True),
        ("github.com", "github.com", True),
        ("API.GitHub.com", "other.example, GITHUB.com", True),
        ("notgithub.com", "github.com", False),
        ("github.com.evil.example", "github.com", False),
        ("github.com", "*", True),
        ("github.com", "", False),
        ("github.com", ",,", False),
        ("github.com", "github.com:443", True),
        ("github.com", "github.com:8443", False),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("10.1.2.3", "10.1.2.3", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("10.1.2.3", "example.com", False),
        ("[2001:db8::1]", "2001:db8::/32", True),
        ("[2001:db8::1]", "[2001:db8::1]", True),
        ("[2001:db8::1]", "[2001:db8::1]:443", True),
        ("[2001:db8::1]", "[2001:db8::1]:444", False),
        ("api.github.com.", "github.com", True),
        ("api.github.com", "github.com.", True),
        ("api.github.com.", ".github.com", True),
        ("github.com", "one.example github.com", True),
        ("github.com.", ".", False),
        ("github.com", "*.", False),
        ("github.com", "github.com:\u00b2, ://, [, :, @, 1/2/3", False),
    ],
)
def test_no_proxy_spares_whom_it_names(host: str, rules: str, spared: bool) -> None:
    route = choose_route(httpx.URL(f"https://{host}/"), None, {**PROXIES, "no_proxy": rules})
    assert (route.proxy is None) is spared


def test_an_explicit_proxy_takes_everything_but_this_machine() -> None:
    proxy = Proxy(host="set.example", port=1, tls=False)
    for host in ("api.github.com", "127.1", "0.0.0.0", "localhost.example"):
        assert choose_route(httpx.URL(f"https://{host}/"), proxy, {"no_proxy": "*"}).proxy is proxy
    for host in ("localhost", "LOCALHOST.", "a.localhost", "127.9.9.9", "[::1]", "[::ffff:127.0.0.1]"):
        assert choose_route(httpx.URL(f"http://{host}/"), proxy, {}).proxy is None


@pytest.mark.parametrize(
    ("text", "host", "port", "tls", "authorization"),
    [
        ("proxy.example", "proxy.example", 80, False, b""),
        ("proxy.example:3128", "proxy.example", 3128, False, b""),
        ("https://proxy.example", "proxy.example", 443, True, b""),
        ("http://user:pass@proxy.example:1", "proxy.example", 1, False, b"Basic dXNlcjpwYXNz"),
        ("http://us%40er:p%3Ass@proxy.example:1", "proxy.example", 1, False, b"Basic dXNAZXI6cDpzcw=="),
        ("http://user@[::1]:8080", "::1", 8080, False, b"Basic dXNlcjo="),
        (" http://proxy.example:3128/\n", "proxy.example", 3128, False, b""),
    ],
)
def test_a_proxy_url_is_read(text: str, host: str, port: int, tls: bool, authorization: bytes) -> None:
    assert parse_proxy(text) == Proxy(host=host, port=port, tls=tls, authorization=authorization)


@pytest.mark.parametrize(
    "text",
    [
        "socks5://user:hunter2@p.example",
        "http://",
        "http://user:hunter2@p.example:port",
        "http://user:hunter2@p.example:99999",
        "http://user:hunter2@p.example:0",
        "http://user:hunter2@p.example:3128/path",
        "http://user:hunter2@p.example:3128?hunter2",
        "http:/user:hunter2@p.example",
        "http://http://user:hunter2@p.example",
        "hunter2://p.example",
        "http://user:hunter2@ex ample",
        "http://user:hunter2@\x00",
        "http://user:hunter2@[::1",
        "http://user:hunter2@-\u00b2..example",
    ],
)
def test_what_is_no_proxy_url_is_refused_without_its_password(text: str) -> None:
    with pytest.raises(ValueError, match="the proxy's URL") as caught:
        parse_proxy(text)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert "`plugins.burst.connections.proxy`" in str(caught.value)


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
def test_the_variable_that_names_no_proxy_is_named(variable: str) -> None:
    environ = {variable: "socks5://user:hunter2@p.example", "http_proxy": "socks4://other.example"}
    with pytest.raises(NotSent, match=rf"URL in {variable} must .*, not socks5://$") as caught:
        choose_route(httpx.URL("https://service.example/"), None, environ)
    assert caught.value.lasting
    assert caught.value.__cause__ is None
    for spared in ("https://localhost/", "https://127.0.0.1/"):
        assert choose_route(httpx.URL(spared), None, environ).proxy is None
    assert choose_route(httpx.URL("https://s.example/"), None, {**environ, "no_proxy": "s.example"}).proxy is None


@given(text=st.text(max_size=40), rules=st.text(max_size=40))
def test_any_text_in_the_environment_is_a_proxy_or_a_lasting_mistake(text: str, rules: str) -> None:
    lasts: list[bool] = []
    for proxy in (text, f"http://{text}", f"http://user:{text}@proxy.example"):
        try:
            route = choose_route(httpx.URL("https://service.example/"), None, {"ALL_PROXY": proxy, "NO_PROXY": rules})
        except NotSent as error:
            lasts.append(error.lasting)
            continue
        assert route.proxy is None or (route.proxy.host and 0 < route.proxy.port < 65_536)
    assert all(lasts)


def test_credentials_stay_out_of_the_repr() -> None:
    route = choose_route(httpx.URL("https://service.example/"), parse_proxy("http://user:hunter2@p.example"), {})
    assert "Basic" not in repr(route)


def test_an_address_of_six_stands_in_brackets() -> None:
    route = choose_route(httpx.URL("http://[2001:db8::1]:81/"), parse_proxy("p.example"), {})
    assert (route.authority, route.prefix) == ("[2001:db8::1]:81", b"http://[2001:db8::1]:81")
