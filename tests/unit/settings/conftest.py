"""A host's mapping that is right, and a loader without an environment or files of its own."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import pytest

from scaleset_burst.settings import Settings, load_settings
from scaleset_hookspecs import ConfigError, Problem

GOOD: dict[str, Any] = {
    "github": {"config_url": "https://github.com/acme", "token": {"$env": "TOKEN"}},
    "plugins": {"burst": {}},
}
FILES = {
    "token": "from-a-file\n",
    "empty": "\n",
    "long": "x" * (64 * 1024 + 1),
    "ca.pem": "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n",
    "key.pem": "-----BEGIN RSA PRIVATE KEY-----\nx\n-----END RSA PRIVATE KEY-----\n",
    "/etc/x/token": "from-etc",
}

Load = Callable[[Mapping[str, Any]], Settings]


def read_file(path: str) -> str:
    """Read one of the files above."""
    if path not in FILES:
        raise FileNotFoundError(2, "No such file or directory", path)
    return FILES[path]


@pytest.fixture
def load() -> Load:
    """Load a mapping with one variable and a few files."""

    def run(config: Mapping[str, Any]) -> Settings:
        return load_settings(
            config, environ={"TOKEN": "a-token\n", "BLANK": " ", "HOME": "/home/me"}, read_file=read_file
        )

    return run


@pytest.fixture
def load_burst(load: Load) -> Load:
    """Load a section `plugins.burst` beside good credentials."""

    def run(section: Mapping[str, Any]) -> Settings:
        config = deepcopy(GOOD)
        config["plugins"]["burst"] = section
        return load(config)

    return run


@pytest.fixture
def problems() -> Callable[[Load, Mapping[str, Any]], list[Problem]]:
    """Load something that is refused, and return why."""

    def run(load: Load, config: Mapping[str, Any]) -> list[Problem]:
        with pytest.raises(ConfigError) as caught:
            load(config)
        return list(caught.value.problems)

    return run
