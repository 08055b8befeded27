"""What was asked for, and what became of it, across crashes."""

from scaleset_burst.journal.names import JournalNames, MemoryJournal
from scaleset_burst.journal.states import Change, State

__all__ = ["Change", "JournalNames", "MemoryJournal", "State"]
