"""Counts are read by whatever thread scrapes, while the loop counts on."""

from collections.abc import ItemsView, Iterator

from scaleset_client import ConnectionOptions
from scaleset_client.adapter import Adapter
from scaleset_client.clock import SystemClock
from scaleset_client.operations import Operation


class Growing(dict[Operation, int]):
    """Stands for a loop that counts a new kind between two steps of a reader."""

    def items(self) -> ItemsView[Operation, int]:  # type: ignore[override]
        return _Growing(self)


class _Growing(ItemsView[Operation, int]):
    def __init__(self, counted: Growing) -> None:
        super().__init__(counted)
        self._counted = counted

    def __iter__(self) -> Iterator[tuple[Operation, int]]:
        for each in dict.items(self._counted):
            yield each
            self._counted[Operation.GET_RUNNER] = 1


def test_a_kind_counted_for_the_first_time_while_another_thread_reads_breaks_nothing() -> None:
    adapter = Adapter(ConnectionOptions(), SystemClock())
    adapter._requests = Growing({Operation.MINT: 1, Operation.ADMIN_CONNECTION: 1})
    assert adapter.counters.requests[Operation.MINT.value] == 1
