"""A clock that stands still until it is moved."""

__all__ = ["ManualClock"]


class ManualClock:
    """A `Clock` that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """Return the seconds it shows."""
        return self.now

    def time(self) -> float:
        """Return them as Unix time."""
        return 1_700_000_000.0 + self.now

    async def sleep(self, seconds: float) -> None:
        """Move on at once."""
        self.now += seconds
