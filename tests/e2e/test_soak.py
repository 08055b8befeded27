"""An hour of the listener's life, with everything that sessions die of; ten hours in `make chaos ARGS='--soak 10'`."""

import pytest

from tests.chaos.soak import soak


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["assign", "offer"])
def test_an_hour_of_listening_loses_no_job_and_no_message(backend: str) -> None:
    classified = soak(1.0, 3, 100.0, backend)
    assert classified["broken_promises"] == []
    assert classified["jobs"] > 0
    assert classified["crashes"] > 0
    assert classified["sessions"]["lost"] + classified["sessions"]["setback"] > 0
