"""The manager factory: what loads, what is blocked, what is refused at start."""

import sys
from pathlib import Path

import pytest
import yaml

from scaleset_hookspecs import ConfigError, HostError, Problem, ScaleSetRef, SourcedConfig, hookimpl
from scaleset_hookspecs.host import DEFAULTS, create_manager
from scaleset_hookspecs.host.testing import FakeProvisioner


def sourced(text: str) -> SourcedConfig:
    """Read YAML as a host does."""
    return SourcedConfig.from_node(yaml.safe_load(text), yaml.compose(text, yaml.SafeLoader), "host.yaml")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a distribution with three plugins, `good`, `explodes` and `outdated`, for real."""
    info = tmp_path / "toy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[scaleset_autoscaler]\ngood = toy_good\nexplodes = toy_explodes\noutdated = toy_outdated\n"
    )
    (tmp_path / "toy_good.py").write_text("LOADED = True\n")
    (tmp_path / "toy_explodes.py").write_text("raise ImportError('no such library')\n")
    (tmp_path / "toy_outdated.py").write_text("import json; json.old_name\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("toy_good", "toy_explodes", "toy_outdated"):
        sys.modules.pop(name, None)
    return tmp_path


@pytest.mark.usefixtures("installed")
def test_only_what_yaml_names_is_imported() -> None:
    """An installed plugin that the YAML does not name, or switches off, is not even imported."""
    manager = create_manager({"plugins": {"good": None, "explodes": {"enabled": False}}})
    assert manager.has_plugin("good")
    assert not manager.has_plugin("explodes")
    assert "toy_explodes" not in sys.modules
    create_manager({})
    create_manager({"plugins": None})


@pytest.mark.usefixtures("installed")
def test_a_misspelt_plugin_is_named_with_its_line() -> None:
    """What is not installed is refused with file, line and the nearest name."""
    with pytest.raises(ConfigError) as raised:
        create_manager(sourced("a: 1\nplugins:\n  godo:\n    enabled: true\n"))
    assert "host.yaml:3: plugins.godo" in str(raised.value)
    assert "did you mean 'good'?" in str(raised.value)


@pytest.mark.usefixtures("installed")
def test_a_plugin_that_cannot_be_imported_says_why() -> None:
    """No traceback: the YAML's author needs to know what is missing."""
    with pytest.raises(ConfigError, match="no such library"):
        create_manager({"plugins": {"explodes": {}}})
    with pytest.raises(ConfigError, match=r"AttributeError: .*old_name"):
        create_manager({"plugins": {"outdated": {}}})


@pytest.mark.parametrize("plugins", [["burst"], "burst", {"burst": "yes"}, {"burst": {"enabled": "no"}}])
def test_a_section_of_the_wrong_shape_is_refused(plugins: object) -> None:
    """Lists, texts, and `enabled: no` in quotes are problems, not surprises."""
    with pytest.raises(ConfigError):
        create_manager({"plugins": plugins})


def test_all_problems_of_all_plugins_come_at_once() -> None:
    """Every plugin configures itself, and what all of them find is one error."""

    class Picky:
        def __init__(self, name: str) -> None:
            self.name = name

        @hookimpl
        def autoscaler_configure(self) -> None:
            raise ConfigError([Problem(path=self.name, found="x", expected="y")])

    with pytest.raises(ConfigError) as raised:
        create_manager({"plugins": {"no-such": {}, "c": 5}}, plugins=[("a", Picky("a")), ("b", Picky("b"))])
    assert {problem.path for problem in raised.value.problems} == {"a", "b", "plugins.no-such", "plugins.c"}


def test_defaults_cannot_be_switched_off() -> None:
    """Their name in the manager is no plugin's; blocked, they would be missing in silence."""
    with pytest.raises(ConfigError, match=r"plugins\.host-defaults: found the host's own answers switched off"):
        create_manager({"plugins": {DEFAULTS: {"enabled": False}}})


def test_defaults_must_come_last() -> None:
    """A default that would answer before the plugins is refused."""
    with pytest.raises(HostError, match="trylast"):
        create_manager({}, defaults=FakeProvisioner("x"))


def test_a_class_instead_of_an_instance_is_told_apart() -> None:
    """The missing () are the first thing to think of."""
    with pytest.raises(HostError, match=r"\(\)"):
        create_manager({}, plugins=[("fake", FakeProvisioner)])


def test_a_misspelt_hook_is_refused() -> None:
    """A hook that does not exist would never be called."""

    class Misspelt:
        @hookimpl
        def provision_runner(self, scale_set: ScaleSetRef) -> None: ...

    class Unknown:
        @hookimpl
        def provision_runners(self, scale_sets: ScaleSetRef) -> None: ...

    for plugin in (Misspelt(), Unknown()):
        with pytest.raises(HostError):
            create_manager({}, plugins=[("p", plugin)])


def test_a_coroutine_function_cannot_decline() -> None:
    """`async def` under a firstresult hook is refused at start."""

    class Asynchronous:
        @hookimpl
        async def provision_runners(self, scale_set: ScaleSetRef) -> None: ...

    with pytest.raises(HostError, match="async def"):
        create_manager({}, plugins=[("p", Asynchronous())])


def test_an_observer_that_nobody_would_await_is_refused() -> None:
    """It would be called and never run; only the hooks of the host's life may be coroutine functions."""

    class Observer:
        @hookimpl
        async def after_runner_launched(self, scale_set: ScaleSetRef) -> None: ...

    class Life:
        @hookimpl
        async def autoscaler_started(self) -> None: ...

    create_manager({}, plugins=[("p", Life())])
    with pytest.raises(HostError, match="after_runner_launched is an `async def`; nobody would await it"):
        create_manager({}, plugins=[("p", Observer())])


def test_two_managers_share_nothing() -> None:
    """State is per manager."""
    first = create_manager({}, plugins=[("fake", FakeProvisioner("x"))])
    assert not create_manager({}).has_plugin("fake")
    assert first.has_plugin("fake")


def test_lines_are_known_below_and_above() -> None:
    """A key that is missing stands where its nearest parent does; duplicates are known."""
    config = sourced("a:\n  b: 1\n  c:\n    - x\n    - y: 2\n  b: 3\n")
    assert config.line(("a", "b")) == 6
    assert config.line(("a", "c", 1, "y")) == 5
    assert config.line(("a", "none", "deeper")) == 1
    assert config.duplicates == ((("a", "b"), 6),)
    assert SourcedConfig({"a": 1}).line(("a",)) is None
