"""Config URLs follow protocol 2.1."""

import pytest

from scaleset_client.settings import check_config_url, is_enterprise
from scaleset_hookspecs.configuration.fields import is_url


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("https://github.com/acme", "https://github.com/acme"),
        ("https://github.com/acme/", "https://github.com/acme"),
        ("https://github.com/acme/app", "https://github.com/acme/app"),
        ("https://github.com/enterprises/big", "https://github.com/enterprises/big"),
        ("https://ghes.example.com:8443/acme", "https://ghes.example.com:8443/acme"),
        ("http://localhost:8080/acme", "http://localhost:8080/acme"),
        ("http://127.0.0.1/acme", "http://127.0.0.1/acme"),
        ("http://[::1]:80/acme", "http://[::1]:80/acme"),
        ("http://github.localhost/acme", "http://github.localhost/acme"),
    ],
)
def test_keeps_the_three_forms_without_outer_slashes(written: str, kept: str) -> None:
    assert check_config_url(written) == kept


@pytest.mark.parametrize(
    "written",
    [
        "",
        "acme",
        "github.com/acme",
        "https://github.com",
        "https://github.com/a/b/c",
        "https://github.com/a//b",
        "https://github.com/enterprises",
        "https://github.com/orgs/acme",
        "https://github.com/acme?tab=repositories",
        "https://github.com/acme#x",
        "https://github.com/ac me",
        "https://github.com:99999/acme",
        "https://user:word@github.com/acme",
        "http://github.com/acme",
        "http://127.0.0.1.example.com/acme",
        "ftp://github.com/acme",
        "https://[::1/acme",
    ],
)
def test_refuses_what_names_no_scope(written: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        check_config_url(written)


def test_tells_an_enterprise_whatever_its_case() -> None:
    assert is_enterprise("https://github.com/Enterprises/big")
    assert not is_enterprise("https://github.com/enterprises")
    assert not is_enterprise("https://github.com/acme/enterprises")


def test_a_url_needs_a_host_and_one_of_the_schemes() -> None:
    assert is_url("redis://h:6379/0", {"redis"})
    assert not is_url("redis://h", {"http"})
    assert not is_url("redis://", {"redis"})
    assert not is_url("rediss://h/0?ssl_cert_reqs=none", {"rediss"})
    assert not is_url("redis://h/0#db", {"redis"})
