"""The host's mapping becomes settings, or every problem at once."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from scaleset_burst.settings import Settings, load_settings
from scaleset_hookspecs import ConfigError, Problem
from scaleset_hookspecs.configuration.source import read_text

Load = Callable[[Mapping[str, Any]], Settings]
Problems = Callable[[Load, Mapping[str, Any]], list[Problem]]

GITHUB = {"config_url": "https://github.com/acme", "token": {"$env": "TOKEN"}}


@pytest.mark.parametrize("config", [{}, {"plugins": None}, {"plugins": {}}, {"plugins": {"other": 1}}])
def test_without_a_section_the_plugin_is_off(load: Load, config: dict[str, Any]) -> None:
    assert load(config) == Settings(enabled=False)


def test_switched_off_demands_nothing(load: Load) -> None:
    assert load({"plugins": {"burst": {"enabled": False, "nonsense": 1}}}) == Settings(enabled=False)


def test_an_empty_section_has_every_default_and_the_hosts_github(load: Load) -> None:
    settings = load({"github": GITHUB, "plugins": {"burst": None}})
    assert settings.enabled
    assert settings.batch == Settings().batch
    assert settings.github is not None
    assert settings.github.token is not None
    assert settings.github.token.get_secret_value() == "a-token"


def test_an_empty_subsection_has_its_defaults(load_burst: Load) -> None:
    settings = load_burst({"batch": None, "scale_sets": {"linux": None}})
    assert settings.batch == Settings().batch
    assert settings.for_scale_set("linux").enabled


def test_a_github_of_our_own_comes_before_the_hosts(load: Load) -> None:
    own = {"config_url": "https://github.com/own", "token": {"$file": "token"}}
    settings = load({"github": {"anything": "else"}, "plugins": {"burst": {"github": own}}})
    assert settings.github is not None
    assert settings.github.config_url == "https://github.com/own"


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"plugins": ["burst"]}, "plugins"),
        ({"plugins": "burst"}, "plugins"),
        ({"plugins": {"burst": True}}, "plugins.burst"),
        ({"plugins": {"burst": []}}, "plugins.burst"),
    ],
)
def test_a_section_of_the_wrong_shape_is_refused(
    load: Load, problems: Problems, config: dict[str, Any], path: str
) -> None:
    assert [problem.path for problem in problems(load, config)] == [path]


def test_missing_github_is_one_problem(load: Load, problems: Problems) -> None:
    (problem,) = problems(load, {"plugins": {"burst": {}}})
    assert problem.path == "plugins.burst.github"
    assert problem.found == "nothing"
    assert "at the top of the file" in problem.expected


def test_every_mistake_is_reported_once_and_with_what_is_right(load: Load, problems: Problems) -> None:
    config = {
        "github": {"config_url": "http://github.com/acme", "token": "ghp_0123456789"},
        "plugins": {
            "burst": {
                "batch": {"max_concurency": 3, "merge_window": "5 parsecs", "slice_size": True, "ttl": 1},
                "budget": [1],
                "connections": {"warm": 9, "max": 8, "proxy": "socks5://h", "ca_file": "nowhere.pem"},
                "scale_sets": {"a.b": {"enabled": "yes"}, " ": {}},
            }
        },
    }
    found = {problem.path: problem for problem in problems(load, config)}
    assert sorted(found) == sorted(
        [
            "github.config_url",
            "github.token",
            "plugins.burst.batch.max_concurency",
            "plugins.burst.batch.merge_window",
            "plugins.burst.batch.slice_size",
            "plugins.burst.batch.ttl",
            "plugins.burst.budget",
            "plugins.burst.connections.warm",
            "plugins.burst.connections.proxy",
            "plugins.burst.connections.ca_file",
            'plugins.burst.scale_sets."a.b".enabled',
            'plugins.burst.scale_sets." "',
        ]
    )
    assert "did you mean `max_concurrency`?" in found["plugins.burst.batch.max_concurency"].expected
    assert "belongs in the section `cache`" in found["plugins.burst.batch.ttl"].expected
    assert found["plugins.burst.batch.slice_size"].found == "`true`"
    assert found["plugins.burst.batch.slice_size"].expected == "a whole number from 2 to 500"
    assert found["plugins.burst.connections.warm"].expected == "at most `connections.max`, which is 8"
    assert "no such file" in found["plugins.burst.connections.ca_file"].found


def test_a_misspelt_required_key_is_one_problem_not_two(load: Load, problems: Problems) -> None:
    config = {"githb": {}, "plugins": {"burst": {"github": {"config_ul": "x", "tokn": {"$env": "TOKEN"}}}}}
    paths = [problem.path for problem in problems(load, config)]
    assert paths == ["plugins.burst.github.config_ul", "plugins.burst.github.tokn"]


def test_values_keep_their_kind(load_burst: Load, problems: Problems) -> None:
    section = {"batch": {"max_attempts": "5", "hedge": 1, "name_prefix": 7}, "cache": {"max_entries": 50.0}}
    found = {problem.path: problem for problem in problems(load_burst, section)}
    assert len(found) == 4
    assert "in quotes" in found["plugins.burst.batch.name_prefix"].expected


def test_a_key_that_is_no_text_is_refused(load_burst: Load, problems: Problems) -> None:
    (problem,) = problems(load_burst, {True: 1})  # type: ignore[dict-item]  # what YAML reads from `on: 1`
    assert problem.found == "a key that is not text"


@pytest.mark.parametrize(
    "section",
    [
        {"batch": {"max_attempts": 1 << 20_000}},
        {"cache": {"ttl": 10**400}},
        {"cache": {"ttl": "9" * 400 + "d"}},
        {"a\ud800b": 1},
        {"batch": {"a\ud800b": 1}},
        {"batch": {"work_folder": "a\ud800b"}},
        {"github": {**GITHUB, "token": {"$file": "a\0b"}}},
        {"github": {**GITHUB, "token": {"$env": "a\ud800b"}}},
        {"github": {**GITHUB, "token": {"$file": "a\ud800b"}}},
    ],
    ids=range(9),
)
def test_what_python_cannot_write_out_is_a_problem_like_any_other(
    monkeypatch: pytest.MonkeyPatch, section: dict[str, Any]
) -> None:
    monkeypatch.setenv("TOKEN", "a-token")
    with pytest.raises(ConfigError, match="1 problem"):
        load_settings({"github": GITHUB, "plugins": {"burst": section}}, environ=os.environ, read_file=read_text)


def test_settings_are_frozen_and_hashable_parts_do_not_leak_secrets(load_burst: Load) -> None:
    settings = load_burst({})
    assert "a-token" not in repr(settings)
    assert "a-token" not in settings.model_dump_json()


class Sourced(dict[str, Any]):
    """A mapping that knows its lines."""

    file = "/etc/x/host.yaml"
    duplicates: tuple[tuple[tuple[str, ...], int], ...] = (
        (("plugins", "burst", "batch"), 9),
        (("other",), 3),
        (("github", "token"), 5),
        (("plugins",), 12),
    )

    def line(self, path: tuple[str | int, ...]) -> int | None:
        return {"github": 4, "plugins": 7}.get(str(path[0])) if path else 1


def test_problems_know_file_and_line_and_stand_in_the_order_of_the_file(load: Load, problems: Problems) -> None:
    config = Sourced(plugins={"burst": {"batch": {"hedge": 5}}}, github={**GITHUB, "config_url": "x"})
    listed = [(problem.line, problem.path) for problem in problems(load, config)]
    assert listed == [
        (4, "github.config_url"),
        (5, "github.token"),
        (7, "plugins.burst.batch.hedge"),
        (9, "plugins.burst.batch"),
        (12, "plugins"),
    ]
    assert str(problems(load, config)[0]).startswith("/etc/x/host.yaml:4: github.config_url: found `x`; expected ")


def test_relative_paths_start_at_the_files_folder(load: Load) -> None:
    class Quiet(Sourced):
        duplicates = ()

    config = Quiet(github={**GITHUB, "token": {"$file": "token"}}, plugins={"burst": {"journal": {"directory": "s"}}})
    settings = load(config)
    assert settings.github is not None
    assert settings.github.token is not None
    assert settings.github.token.get_secret_value() == "from-etc"
    assert settings.journal.directory == "/etc/x/s"


@pytest.mark.parametrize(
    ("written", "used"), [("~/state", "/home/me/state"), ("/var/x", "/var/x"), (":memory:", ":memory:")]
)
def test_paths_are_ready_to_open(load_burst: Load, written: str, used: str) -> None:
    assert load_burst({"journal": {"directory": written}}).journal.directory == used
