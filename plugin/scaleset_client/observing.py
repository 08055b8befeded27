"""What the client counts and reports about its requests, as values."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from scaleset_client.kinds import Kind

__all__ = ["Counters", "RequestRecord", "Tally"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """One request that was sent, or that could not be.

    Attributes:
        kind: The operation.
        status: HTTP status, `None` if there was no answer.
        seconds: From the connection being free for it to the end of its answer.
        failure: Class name of what went wrong below HTTP, if anything.
    """

    kind: Kind
    status: int | None
    seconds: float
    failure: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """The client's counts at one moment.

    Attributes:
        requests: Requests sent, by kind, repeats included.
        token_requests: Requests of the token chain among them.
        connections_opened: Connections opened, as far as the transports count them.
    """

    requests: Mapping[str, int]
    token_requests: int
    connections_opened: int


TOKEN_KINDS = (Kind.INSTALLATION_TOKEN, Kind.REGISTRATION_TOKEN, Kind.ADMIN_CONNECTION)


class Tally:
    """Counts requests by kind."""

    def __init__(self) -> None:
        self._requests: dict[Kind, int] = {}

    def add(self, kind: Kind) -> None:
        """Count one request."""
        self._requests[kind] = self._requests.get(kind, 0) + 1

    def counters(self, connections_opened: int) -> Counters:
        """Return the counts so far."""
        counted = dict(self._requests)  # whole, in one step: the loop may count a new kind while another thread reads
        return Counters(
            requests=MappingProxyType({kind.value: count for kind, count in counted.items()}),
            token_requests=sum(counted.get(kind, 0) for kind in TOKEN_KINDS),
            connections_opened=connections_opened,
        )
