"""What nobody knows of the service: each matter, and the answers that are believed in, of which one is played."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SWITCHES", "Switch"]


@dataclass(frozen=True, slots=True)
class Switch:
    """One matter on which clients, servers of others and documents differ.

    Attributes:
        name: Of the option, of the command line's flag (with dashes) and of the setting.
        values: What it can be, the default first; with one value, any text.
        meaning: What it decides, for the command line's help.
    """

    name: str
    values: tuple[int | str, ...]
    meaning: str

    def checked(self, value: object) -> int | str:
        """Return a value it can have; raises `ValueError` for another."""
        default = self.values[0]
        if type(value) is type(default) and (len(self.values) == 1 or value in self.values):
            return value
        expected = "a text" if len(self.values) == 1 else f"one of {', '.join(str(each) for each in self.values)}"
        raise ValueError(f"{self.name} is {value!r:.100}; expected {expected}")


SWITCHES = {
    each.name: each
    for each in (
        Switch("backend", ("assign", "offer"), "assign jobs directly, or offer them"),
        Switch("closed_session", (401, 400, 404, 410), "status of a queue call whose session is gone"),
        Switch("running_status", (400, 409), "status of JobStillRunningException"),
        Switch("absent_status", (204, 404), "status of removing an absent runner"),
        Switch("tenant_query", ("ring=1",), "query of the service's address"),
        Switch("event_keys", ("runner_event", "any"), "or runnerEvent as well"),
    )
}
