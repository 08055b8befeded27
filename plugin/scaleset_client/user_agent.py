"""The `User-Agent` the service expects: one line of JSON (protocol 4.1)."""

import json
from dataclasses import dataclass

from scaleset_client.version import VERSION

__all__ = ["UserAgent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UserAgent:
    """Who calls; the service uses it for diagnostics only.

    Attributes:
        system: The autoscaler's name.
        version: Its version.
        commit_sha: The commit it was built from.
        scale_set_id: The scale set it serves, 0 if unknown or many.
        subsystem: The part of it that calls.
    """

    system: str = "scaleset-burst"
    version: str = VERSION
    commit_sha: str = "unknown"
    scale_set_id: int = 0
    subsystem: str = "client"

    def header(self) -> str:
        """Return the header's value; the encoder escapes whatever a header must not hold."""
        return json.dumps(
            {
                "system": self.system,
                "version": self.version,
                "commit_sha": self.commit_sha,
                "scale_set_id": self.scale_set_id,
                "subsystem": self.subsystem,
                "build_version": VERSION,
                "build_commit_sha": "unknown",
                "kind": "scaleset",
            },
            separators=(",", ":"),
        )
