"""State that several hosts of one scope share through Redis or Valkey; needs the extra `redis`."""

from scaleset_burst.sharing.sharing import Sharing
from scaleset_burst.sharing.store import RedisStore

__all__ = ["RedisStore", "Sharing"]
