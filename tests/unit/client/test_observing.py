"""Counts are read by whatever thread scrapes, while the loop counts on."""

from collections.abc import ItemsView, Iterator

from scaleset_client import ConnectionOptions
from scaleset_client.adapter import Adapter
from scaleset_client.clock import SystemClock
from scaleset_client.kinds import Kind


class Growing(dict[Kind, int]):
    """Stands for a loop that counts a new kind between two steps of a reader."""

    def items(self) -> ItemsView[Kind, int]:  # type: ignore[override]
        return _Growing(self)


class _Growing(ItemsView[Kind, int]):
    def __init__(self, counted: Growing) -> None:
        super().__init__(counted)
        self._counted = counted

    def __iter__(self) -> Iterator[tuple[Kind, int]]:
        for each in dict.items(self._counted):
            yield each
            self._counted[Kind.GET_RUNNER] = 1


def test_a_kind_counted_for_the_first_time_while_another_thread_reads_breaks_nothing() -> None:
    adapter = Adapter(ConnectionOptions(), SystemClock())
    adapter._requests = Growing({Kind.MINT: 1, Kind.ADMIN_CONNECTION: 1})
    assert adapter.counters.requests[Kind.MINT.value] == 1
