"""What is known of scale sets, runner groups, runners and statistics, each answer with its certainty.

In flow questions of hosts and of minting, and events; out flow answers (fresh, stale, absent, unknown) with their age.

- `readthrough`: the one way from a question to an answer: decide, back off, look up once for all, count, serve stale.
- `entries`: the life of one value, and what a question costs at each moment of it; pure.
- `scalesets`, `groups`, `runners`: the facts. Each says what is asked, what the answer teaches, what an event undoes.
- `mints`: when a runner's absence can be believed.
- `shared`: the second cache, which hosts of a scope share.
- `metadata`: the front of the room.
"""

from scaleset_burst.cache.kinds import Kind, KindCounters
from scaleset_burst.cache.metadata import Metadata
from scaleset_burst.cache.service import MetadataService, Shared, SharedCache

__all__ = ["Kind", "KindCounters", "Metadata", "MetadataService", "Shared", "SharedCache"]
