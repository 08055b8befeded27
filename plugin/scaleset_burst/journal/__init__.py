"""What was asked for, and what became of it, across crashes."""

from scaleset_burst.journal.database import DatabaseJournal
from scaleset_burst.journal.memory import MemoryJournal
from scaleset_burst.journal.names import Journal, JournalNames
from scaleset_burst.journal.opening import LazyJournal, open_journal
from scaleset_burst.journal.states import Change, LeftoverName, State, UnrecordedNames

__all__ = [
    "Change",
    "DatabaseJournal",
    "Journal",
    "JournalNames",
    "LazyJournal",
    "LeftoverName",
    "MemoryJournal",
    "State",
    "UnrecordedNames",
    "open_journal",
]
