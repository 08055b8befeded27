"""Secrets stand in the file by reference, and never in a report."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from scaleset_burst.settings import Settings
from scaleset_hookspecs import Problem
from scaleset_hookspecs.configuration import reveal

Load = Callable[[Mapping[str, Any]], Settings]
Problems = Callable[[Load, Mapping[str, Any]], list[Problem]]


def with_token(token: object) -> dict[str, Any]:
    return {"github": {"config_url": "https://github.com/acme", "token": token}}


@pytest.mark.parametrize(("reference", "secret"), [({"$env": "TOKEN"}, "a-token"), ({"$file": "token"}, "from-a-file")])
def test_a_reference_is_looked_up_without_its_last_line_break(
    load_burst: Load, reference: dict[str, str], secret: str
) -> None:
    settings = load_burst(with_token(reference))
    assert settings.github is not None
    assert reveal(settings.github.token) == secret


def test_a_literal_secret_is_refused_without_being_shown(load_burst: Load, problems: Problems) -> None:
    secret = "ghp_" + "0123456789" * 3 + "abcdef"
    (problem,) = problems(load_burst, with_token(secret))
    assert problem.found == "a literal text of 40 characters"
    assert secret not in str(problem)


@pytest.mark.parametrize(
    ("token", "found"),
    [
        ({"$env": "NOT_SET"}, "`$env: NOT_SET`, which is not set"),
        ({"$env": "BLANK"}, "`$env: BLANK`, which is empty"),
        ({"$file": "empty"}, "`$file: empty`, which is empty"),
        ({"$file": "nowhere"}, "a file that does not open: no such file or directory"),
        ({"$file": "long"}, "`$file: long`, which holds more than 64 KiB"),
        ({"$env": "A", "$file": "b"}, "a section with `$env`, `$file`"),
        ({"$enw": "A"}, "a section with `$enw`"),
        ({}, "an empty section"),
        ({"$env": None}, "$env with nothing"),
        ({"$env": ["A"]}, "$env with a list of 1"),
        ({"$env": 12345678}, "$env with a literal number"),
        ({"hunter2": None}, "a section with 1 key"),
        ({"$env": "GITHUB_TOKEN_2"}, "`$env: GITHUB_TOKEN_2`, which is not set"),
        (12345678, "a literal number"),
        (True, "`true`"),
        (
            {"$file": "key.pem"},
            "a secret of 63 characters with blanks, line breaks or other foreign characters",
        ),
        ({"$env": "ghp_0123456789"}, "an environment variable that is not set"),
        ({"$env": "hunter2-correct-horse"}, "an environment variable that is not set"),
        ({"$env": "0123456789abcdef0123456789abcdef01234567"}, "an environment variable that is not set"),
        ({"$env": "aZ3kQ9xLm2Vb7Rt"}, "an environment variable that is not set"),
        ({"$env": "abcdefghijklmnopqrstuvwxyzabcdef"}, "an environment variable that is not set"),
        ({"$env": "GitHub_Token_2"}, "an environment variable that is not set"),
    ],
)
def test_a_bad_reference_is_one_problem(load_burst: Load, problems: Problems, token: object, found: str) -> None:
    assert [problem.found for problem in problems(load_burst, with_token(token))] == [found]


def app(key: object) -> dict[str, Any]:
    credentials = {"client_id": "Iv1", "installation_id": 7, "private_key": key}
    return {"github": {"config_url": "https://github.com/acme", "app": credentials}}


def test_a_private_key_must_look_like_one(load_burst: Load, problems: Problems) -> None:
    settings = load_burst(app({"$file": "key.pem"}))
    assert settings.github is not None
    assert settings.github.app is not None
    (problem,) = problems(load_burst, app({"$env": "TOKEN"}))
    assert problem.path == "plugins.burst.github.app.private_key"
    assert "a-token" not in str(problem)


@pytest.mark.parametrize(
    ("section", "path"),
    [
        ({"connections": {"proxy": "http://user:hunter2@proxy"}}, "connections.proxy"),
        ({"sharing": {"url": "redis://:hunter2@h"}}, "sharing.url"),
        (
            {"github": {"config_url": "https://u:hunter2@github.com/a", "token": {"$env": "TOKEN"}}},
            "github.config_url",
        ),
        ({"batch": {"work_folder": 1, "ghp_hunter2": 1}}, "batch.work_folder"),
        ({"connections": {"ca_file": "ghp_hunter2"}}, "connections.ca_file"),
        ({"batch": {"name_prefix": "github_pat_hunter2"}, "budget": 1}, "budget"),
    ],
)
def test_a_password_in_the_wrong_place_is_not_shown(
    load_burst: Load, problems: Problems, section: dict[str, Any], path: str
) -> None:
    found = problems(load_burst, section)
    assert f"plugins.burst.{path}" in [problem.path for problem in found]
    assert "hunter2" not in "".join(str(problem) for problem in found)


def test_a_proxy_by_reference_may_hold_a_password(load: Load, load_burst: Load, problems: Problems) -> None:
    (problem,) = problems(load_burst, {"connections": {"proxy": {"$env": "TOKEN"}}})
    assert "a-token" not in str(problem)
    assert load_burst({"connections": {"proxy": "http://proxy:3128"}}).connections.proxy == "http://proxy:3128"
