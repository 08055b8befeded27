"""State that several hosts of one scope share through Redis or Valkey; needs the extra `redis`.

It enters by three seams of the core, whose versions of one process it replaces: the budget (`budget`, fed by
`heartbeat`), the journal's names (`names`, which mirrors them so that another host resolves what this one left), and
the shared cache (`cache`). The core knows no word of Redis. `scripts` and `namescripts` are what runs inside Redis,
each in one step; `takeover` says which hosts fell silent; `store` is the connection, and checks what it answers.
"""

from scaleset_burst.sharing.sharing import Sharing
from scaleset_burst.sharing.store import RedisStore

__all__ = ["RedisStore", "Sharing"]
