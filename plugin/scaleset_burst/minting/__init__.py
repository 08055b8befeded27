"""A burst: from the N that a host wants to N outcomes, each a config or a failure, exactly once.

In flow calls (`Minter.provision`) and what dead processes left (`Resolver.add`); out flow configs, in the order in
which they arrive, failures with a class, and the removal of every registration that nobody will use.

What becomes of a mint flows one way, and each of these holds the next one:
1. `minter` makes a call of N slots and queues them (`call`, `queue`; how many are really needed says `demand`).
2. `dispatcher` takes turns among the scale sets (`turns`), has names written down (`names`), and sends as many requests
   as the limits permit; `hedging` says when one is late, `sweeper` gives up what takes too long.
3. `settlement` says what each answer means, as a value; `outcomes` carries it out.
4. `delivery` has configs written down, a wave at a time, and hands them out; `given` remembers to whom.
5. `resolver` looks for unresolved mints and removes ghosts; what a look-up means is decided in `unresolved`.
Beside them, `waits` tells callers how long it takes, and `ledger` keeps the account that `report` shows.
"""

from scaleset_burst.minting.minter import Minter, Service
from scaleset_burst.minting.queue import MintQueue
from scaleset_burst.minting.report import BurstReport, ConfigTiming

__all__ = ["BurstReport", "ConfigTiming", "MintQueue", "Minter", "Service"]
