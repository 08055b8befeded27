"""What is known of our own mints, apart from the cache that uses it."""

from scaleset_burst.cache.mints import Mints
from scaleset_hookspecs import RunnerRef


def test_the_end_of_a_runner_takes_nothing_from_another_one_that_was_given_its_name() -> None:
    """Else the new one, which no look has shown yet, would be absent."""
    mints = Mints(60.0)
    mints.minted("r1", 9, now=0.0)
    mints.minted("r1", 10, now=100.0)
    mints.forget(RunnerRef(id=9))
    assert mints.why_unproven(RunnerRef(name="r1"), now=110.0) is not None
    mints.forget(RunnerRef(name="r1"))
    assert mints.why_unproven(RunnerRef(name="r1"), now=110.0) is None
