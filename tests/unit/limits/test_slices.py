"""Whether several settings travel in one request."""

from scaleset_burst.limits.slices import SliceState, Slicing


def test_never_sends_one_at_a_time() -> None:
    """Slices are off unless asked for."""
    assert Slicing("never", 50).take(300) == 1


def test_auto_tries_once_and_holds_the_rest() -> None:
    """Until the trial is answered nothing else leaves."""
    slicing = Slicing("auto", 50)
    assert slicing.take(300) == 50
    assert slicing.take(250) == 0
    slicing.accepted()
    assert slicing.take(250) == 50


def test_a_refusal_is_remembered() -> None:
    """After a refusal each setting travels alone, for good."""
    slicing = Slicing("auto", 50)
    slicing.take(300)
    slicing.refused()
    assert slicing.take(300) == 1
    assert slicing.state is SliceState.REFUSED


def test_a_service_that_stops_taking_slices_is_followed() -> None:
    """Acceptance is not for ever."""
    slicing = Slicing("always", 10)
    assert slicing.take(100) == 10
    slicing.refused()
    assert slicing.take(100) == 1


def test_a_lost_trial_is_tried_again() -> None:
    """A trial without an answer decides nothing."""
    slicing = Slicing("auto", 10)
    assert slicing.take(100) == 10
    slicing.undecided()
    assert slicing.take(100) == 10


def test_one_alone_is_no_trial() -> None:
    """A single setting says nothing about slices."""
    slicing = Slicing("auto", 10)
    assert slicing.take(1) == 1
    assert slicing.state is SliceState.UNTRIED
    assert slicing.take(0) == 0
