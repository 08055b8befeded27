"""How many examples a property is tried on: a few each time the tests run, all of them where nobody waits."""

import os

__all__ = ["examples"]

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE", "") in {"thorough", "explore"}


def examples(count: int) -> int:
    """Return that many, or a quarter of them unless HYPOTHESIS_PROFILE is `thorough` or `explore`."""
    return count if THOROUGH else max(10, count // 4)
