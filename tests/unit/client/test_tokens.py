"""The life of tokens as decisions (protocol 3.2 to 3.4)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleset_client.tokens import Refusal, Renewal, Token, after_refusal, jwt_times, renewal, token_of_jwt
from tests.unit.client.scripted import jwt_ending

NOW = 1_800_000_000.0


def token(lifetime: float) -> Token:
    return Token(value="t", obtained_at=NOW, expires_at=NOW + lifetime)


@pytest.mark.parametrize(
    ("lifetime", "age", "due"),
    [
        (3600, 0, Renewal.NOT_YET),
        (3600, 3479, Renewal.NOT_YET),
        (3600, 3480, Renewal.AHEAD),
        (3600, 3589, Renewal.AHEAD),
        (3600, 3590, Renewal.NOW),
        (3600, 9999, Renewal.NOW),
        (1000, 879, Renewal.NOT_YET),
        (40, 29, Renewal.NOT_YET),
        (40, 30, Renewal.AHEAD),
        (40, 38, Renewal.NOW),
        (0, 0, Renewal.NOW),
        (-5, 0, Renewal.NOW),
    ],
)
def test_when_to_renew(lifetime: float, age: float, due: Renewal) -> None:
    """Ahead by two minutes, at the latest ten seconds before the end; less for short lives."""
    assert renewal(token(lifetime), NOW + age) is due


def test_no_token_must_be_got() -> None:
    """There is nothing to go on with."""
    assert renewal(None, NOW) is Renewal.NOW


@pytest.mark.parametrize(
    ("text", "times"),
    [
        (jwt_ending(5.0, issued=1), (1.0, 5.0)),
        (jwt_ending(5.5), (None, 5.5)),
        ("opaque", (None, None)),
        ("a.b.c", (None, None)),
        ("a.%%%.c", (None, None)),
        ("a.W10.c", (None, None)),
        ("a.bnVsbA.c", (None, None)),
        ("", (None, None)),
        ("a.\u00e9.c", (None, None)),
    ],
)
def test_times_are_read_without_a_key(text: str, times: tuple[float | None, float | None]) -> None:
    """What cannot be read is not said."""
    assert jwt_times(text) == times


@given(st.text(max_size=80))
def test_any_text_is_a_token(text: str) -> None:
    """A token lives, whatever it is."""
    assert renewal(token_of_jwt(f"a.{text}.b", NOW), NOW) is Renewal.NOT_YET


def test_a_token_dead_on_arrival_lives_its_own_lifetime() -> None:
    """The clocks disagree; its `exp` minus `iat` still counts, within reason."""
    assert token_of_jwt(jwt_ending(NOW - 10, issued=NOW - 310), NOW).expires_at == NOW + 300
    assert token_of_jwt(jwt_ending(NOW - 10), NOW).expires_at == NOW + 30
    assert token_of_jwt(jwt_ending(NOW - 10, issued=0), NOW).expires_at == NOW + 600
    assert token_of_jwt("opaque", NOW).expires_at == NOW + 600


@pytest.mark.parametrize(
    ("refusals", "age", "replaced", "clear", "expected"),
    [
        (1, 0, False, False, Refusal.WAIT),
        (5, 4, False, False, Refusal.WAIT),
        (6, 4, False, False, Refusal.GIVE_UP),
        (1, 600, False, False, Refusal.REPLACE),
        (1, 600, False, True, Refusal.REPLACE),
        (2, 0, True, False, Refusal.WAIT),
        (2, 11, True, False, Refusal.GIVE_UP),
        (1, 0, False, True, Refusal.WAIT),
        (3, 1, False, True, Refusal.GIVE_UP),
    ],
)
def test_refusals_of_the_admin_connection(
    refusals: int, age: float, replaced: bool, clear: bool, expected: Refusal
) -> None:
    """A new token is given time, an old one is replaced, and in the end we give up (protocol 3.3)."""
    assert after_refusal(refusals, age, replaced=replaced, clear=clear) is expected


@given(st.floats(0, 1e6), st.booleans())
def test_refusals_end(age: float, clear: bool) -> None:
    """Nobody asks for ever."""
    assert after_refusal(6, age, replaced=True, clear=clear) is Refusal.GIVE_UP
