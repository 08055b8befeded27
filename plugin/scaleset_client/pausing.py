"""A pause the service asked for, kept by every look-up of the client (protocol 9.6 and 10.1)."""

from scaleset_client.repeating import Repeater
from scaleset_client.retrying import least_pause
from scaleset_hookspecs.errors import RateLimited

__all__ = ["Pause"]


class Pause:
    """Until when nothing may be sent. Mints and message sessions do not wait here: they have gates of their own."""

    def __init__(self, repeater: Repeater) -> None:
        self._repeater = repeater
        self._until = 0.0
        self._refusals = 0

    def asked(self, error: RateLimited) -> None:
        """Hear that the service asked for a pause, perhaps for none in seconds: then it grows with each refusal."""
        now = self._repeater.clock.monotonic()
        if now >= self._until:
            self._refusals += 1
        self._until = max(self._until, now + max(error.retry_after or 0.0, least_pause(self._refusals)))

    def answered(self) -> None:
        """Hear that the service let a request through after the pause."""
        if self._refusals and self._repeater.clock.monotonic() >= self._until:
            self._refusals = 0

    async def over(self) -> None:
        """Wait for the end of the pause, with jitter.

        Raises:
            RateLimited: It is longer than a call may wait; nothing was sent.
        """
        left = self._until - self._repeater.clock.monotonic()
        if left <= 0:
            return
        if left > self._repeater.backoff.limit:
            raise RateLimited("nothing was sent: the service asked for a pause that is not over", retry_after=left)
        await self._repeater.clock.sleep(left + self._repeater.chance.uniform(0.0, min(1.0, 0.1 * left)))
