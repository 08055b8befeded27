"""What of a body may stand in an error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleset_client.texts import excerpt, header_text, scrub

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjE4MDAwMDAwMDB9.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    "secret",
    [
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "ghs_abc",
        "github_pat_11ABCDE_xyz",
        JWT,
        "eyIucnVubmVyIjoiZXlKQlozS",
        "A" * 200 + "==",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_what_looks_like_a_secret_is_masked(secret: str) -> None:
    """Wherever it stands."""
    for text in (f"the token {secret} is bad", f'{{"message":"{secret}"}}', secret):
        assert secret[:24] not in excerpt(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"token":"AABBCC11"}',
        '{"token": "AABBCC11", "x": 1}',
        "token=AABBCC11",
        '{"encodedJITConfig":"AABBCC11"}',
        '{"messageQueueAccessToken":"AABBCC11"}',
        "Authorization: Bearer AABBCC11",
        "RemoteAuth AABBCC11",
    ],
)
def test_what_stands_in_the_place_of_a_secret_is_masked(text: str) -> None:
    """Also if it has no form of its own."""
    assert "AABBCC11" not in excerpt(text)


def test_names_and_sentences_are_kept() -> None:
    """The mask must not hide what a person needs."""
    name = "linux-large-0123456789abcdef0123456789abcdef0123456789abcdef"
    text = f"The runner {name} already exists; activity 7d0c1a5e-0000-4000-8000-000000000000"
    assert excerpt(text) == text


@given(st.text(min_size=6, max_size=60), st.text(max_size=200), st.text(max_size=200))
def test_a_given_secret_never_survives(secret: str, before: str, after: str) -> None:
    """Whatever it is made of."""
    assert secret not in scrub(before + secret + after, (secret,)).replace("***", "")


@given(st.text(max_size=8000))
def test_an_excerpt_is_short_and_printable(text: str) -> None:
    """Nothing can break a log line."""
    clean = excerpt(text)
    assert len(clean) <= 300
    assert clean.isprintable()


def test_ids_from_headers() -> None:
    """Ids are kept, and nothing else gets in with them."""
    assert header_text(None) is None
    assert header_text("\x00") is None
    assert header_text("AB:CD\r\nX: y") == "AB:CDX: y"
    assert header_text(JWT) == "***"
