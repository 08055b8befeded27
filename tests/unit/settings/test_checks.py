"""What must hold between settings is checked whatever else is wrong."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from scaleset_burst.settings import Settings
from scaleset_hookspecs import Problem

Load = Callable[[Mapping[str, Any]], Settings]
Problems = Callable[[Load, Mapping[str, Any]], list[Problem]]

KEY = {"client_id": "Iv1", "installation_id": 7, "private_key": {"$file": "key.pem"}}
TOKEN = {"$env": "TOKEN"}


def github(**more: object) -> dict[str, Any]:
    return {"github": {"config_url": "https://github.com/acme", **more}}


@pytest.mark.parametrize(
    ("section", "path", "found"),
    [
        (github(), "github", "neither `token` nor `app`"),
        (github(token=TOKEN, app=KEY), "github", "both `token` and `app`"),
        (
            github(config_url="https://github.com/enterprises/x", app=KEY),
            "github.app",
            "a GitHub App for an enterprise",
        ),
        ({"connections": {"warm": 65}}, "connections.warm", "`65`"),
        ({"connections": {"max": 8}}, "connections.max", "`8`"),
        ({"connections": {"client_key": "key.pem"}}, "connections.client_key", "a key without a certificate"),
        (
            {"batch": {"max_concurrency": 4}, "scale_sets": {"a": {"max_concurrency": 5}, "b": {}}},
            "scale_sets.a.max_concurrency",
            "`5`",
        ),
    ],
)
def test_each_rule_is_one_problem_at_its_place(
    load_burst: Load, problems: Problems, section: dict[str, Any], path: str, found: str
) -> None:
    for broken in ({}, {"cache": {"ttl": "soon"}}):
        listed = problems(load_burst, {**section, **broken})
        assert (f"plugins.burst.{path}", found) in [(problem.path, problem.found) for problem in listed]
        assert len(listed) == 1 + len(broken)


def test_rules_that_hold_say_nothing(load_burst: Load) -> None:
    section = {
        "batch": {"max_concurrency": 4},
        "scale_sets": {"a": {"max_concurrency": 4}},
        "connections": {
            "warm": 8,
            "max": 8,
            "client_key": "key.pem",
            "client_certificate": "ca.pem",
            "ca_file": "ca.pem",
        },
    }
    assert load_burst(section).for_scale_set("a").max_concurrency == 4


def test_a_check_is_left_out_when_what_it_reads_was_refused(load_burst: Load, problems: Problems) -> None:
    listed = problems(load_burst, {"connections": {"warm": "many", "max": 1}, "github": "acme"})
    assert sorted(problem.path for problem in listed) == [
        "plugins.burst.connections.warm",
        "plugins.burst.github",
    ]


@pytest.mark.parametrize("folder", ["a\ud800b", "a\0b", "a\nb", ""])
@pytest.mark.parametrize("of", ["batch", "scale_set"])
def test_a_work_folder_that_cannot_be_sent_is_refused(
    load_burst: Load, problems: Problems, folder: str, of: str
) -> None:
    own = {"work_folder": folder}
    (problem,) = problems(load_burst, {"batch": own} if of == "batch" else {"scale_sets": {"a": own}})
    assert problem.path.endswith("work_folder")
