"""The Actions service on a real socket, for demos and tests; needs the extra `simulator` to run."""

from collections.abc import Sequence

from scaleset_simulator.process import SimulatorError, SimulatorProcess

__all__ = ["SimulatorError", "SimulatorProcess", "run"]


def run(argv: Sequence[str] | None = None) -> int:
    """Run a simulator with a command line's arguments; return the exit status.

    Raises:
        ModuleNotFoundError: The extra is not installed.
    """
    from scaleset_simulator.serving import run as serve  # noqa: PLC0415  # needs the extra

    return serve(argv)
