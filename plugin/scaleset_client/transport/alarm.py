"""One timer for many deadlines: set to the earliest, so that most requests cost a comparison."""

import asyncio
import math
from collections.abc import Callable

__all__ = ["Alarm"]


class Alarm:
    """Calls once when the earliest deadline has come; who is called asks again for those that are left.

    Attributes:
        at: Loop time at which it will call, infinite if it will not.
    """

    __slots__ = ("_call", "_handle", "at")

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._handle: asyncio.TimerHandle | None = None
        self.at = math.inf

    def set(self, deadline: float) -> None:
        """Call by that loop time at the latest."""
        if deadline < self.at:
            self.cancel()
            self.at = deadline
            self._handle = asyncio.get_running_loop().call_at(deadline, self._ring)

    def cancel(self) -> None:
        """Call no more."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle, self.at = None, math.inf

    def _ring(self) -> None:
        self._handle, self.at = None, math.inf
        self._call()
