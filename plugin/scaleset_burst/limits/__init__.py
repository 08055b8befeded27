"""How much may be sent: the limits of one scope.

In flow requests that want to leave (`Admission.permit`) and what became of those that did (`Admission.learn`); out
flows a number, and when to ask again. `admission` is the one door, and asks in this order: the circuit breakers
(`circuit`, one for each scale set and one for all), the registrations allowed per window and the pauses that the
service imposed (`budget`), and what one request may carry (`slices`). How many requests may be in flight is the
limit that adapts (`concurrency`). Why a mint failed, and so what each limit learns from it, says `classification`.
Everything here decides over values: no clock is read, nothing is awaited.
"""

from scaleset_burst.limits.admission import Admission

__all__ = ["Admission"]
