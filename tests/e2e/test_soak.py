"""An hour and a half of the host's life, with all that jobs die of; ten hours in `make chaos ARGS='--soak 10'`."""

import pytest

from tests.chaos.soak import soak


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["assign", "offer"])
def test_no_job_is_lost_or_terminated_and_nothing_is_left(backend: str) -> None:
    outcome = soak(1.5, 3, 60.0, backend)
    assert outcome["broken_promises"] == []
    assert outcome["jobs"] > 0
    assert outcome["lives"]["killed"] + outcome["lives"]["upgraded"] > 0
