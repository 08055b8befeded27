"""`python -m scaleset_simulator`."""

import sys

from scaleset_simulator import run

if __name__ == "__main__":
    try:
        sys.exit(run())
    except ModuleNotFoundError as error:
        print(f"error: {error.name} is missing; pip install 'scaleset-burst[simulator]'", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(0)
