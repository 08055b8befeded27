"""`scaleset-burst simulate`: the simulator, if its extra is installed."""

from collections.abc import Sequence

from scaleset_burst.cli.output import fail

__all__ = ["simulate"]


def simulate(arguments: Sequence[str]) -> int:
    """Run the simulator with its own arguments; return the exit code."""
    try:
        from scaleset_simulator import run  # noqa: PLC0415 - it needs the extra

        return run(list(arguments))
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("scaleset_burst"):
            raise
        return fail(f"the simulator needs {error.name}: pip install 'scaleset-burst[simulator]'")
