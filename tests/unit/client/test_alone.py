"""The client alone: what it loads, and what it shows of itself."""

import inspect
import subprocess
import sys

import scaleset_client
from scaleset_hookspecs import errors


def test_it_loads_nothing_else_of_ours_and_none_of_the_plugins_libraries() -> None:
    program = "import sys, scaleset_client; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert "scaleset_client" in loaded
    assert not {"pydantic", "yaml", "cachetools", "scaleset_burst", "scaleset_simulator"} & set(loaded)


def test_it_exports_every_error_that_it_raises() -> None:
    raised = {
        name for name, made in inspect.getmembers(errors, inspect.isclass) if issubclass(made, errors.ServiceError)
    }
    assert raised | {"UsageError", "HostError"} <= set(scaleset_client.__all__)
    assert all(hasattr(scaleset_client, name) for name in scaleset_client.__all__)
