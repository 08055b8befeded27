"""What was asked for, and what became of it, across crashes.

In flow names before any request with them leaves, and what became of each (`states`); out flows, at the next start,
what a dead process left open, and whether each of those may have been handed out. `database` keeps them in SQLite, one
statement for each wave; `writer` is its thread; `memory` keeps them where no disk can. `owner` and `folders` say whose
file it is and where; `witness` counts what was handed out in memory that outlives the process, so that the next one
knows whether writes are missing. `names` is the front that minting uses, `opening` opens it when it is first needed.
"""

from scaleset_burst.journal.database import DatabaseJournal
from scaleset_burst.journal.memory import MemoryJournal
from scaleset_burst.journal.names import Journal, JournalNames
from scaleset_burst.journal.opening import LazyJournal, open_journal, why_unusable
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
    "why_unusable",
]
