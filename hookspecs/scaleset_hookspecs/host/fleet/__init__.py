"""Which runners there should be: facts in, actions out, nothing else.

A host tells `Fleet.on` what happens and carries out what it answers, and answers each question once. What holds,
whatever comes in whatever order:

- Never more than `max_runners` that may be alive; what is not known to be gone counts.
- No runner is ended that has, or may have, a job: the service removes the registration first, which it refuses if there
  is a job, and a machine is ended only after that.
- A runner ends when its machine or the service says so, not when a job does.
- What fails is tried again, later each time, in one chain.
"""

from scaleset_hookspecs.host.fleet.fleet import Fleet
from scaleset_hookspecs.host.fleet.values import (
    Action,
    Adopted,
    BurstEnded,
    Drain,
    End,
    Fact,
    FleetLimits,
    KnownRunner,
    Launched,
    Life,
    LookedUp,
    LookUp,
    Lower,
    MachineEnded,
    Mint,
    Removal,
    Remove,
    RemoveAnswered,
    Say,
    Source,
    Tick,
)

__all__ = [
    "Action",
    "Adopted",
    "BurstEnded",
    "Drain",
    "End",
    "Fact",
    "Fleet",
    "FleetLimits",
    "KnownRunner",
    "Launched",
    "Life",
    "LookUp",
    "LookedUp",
    "Lower",
    "MachineEnded",
    "Mint",
    "Removal",
    "Remove",
    "RemoveAnswered",
    "Say",
    "Source",
    "Tick",
]
