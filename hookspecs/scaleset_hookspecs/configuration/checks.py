"""What must hold between settings.

Each check runs as soon as the settings it reads are good, whatever else is not.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from pydantic.fields import FieldInfo

from scaleset_hookspecs.configuration.accepts import section_of
from scaleset_hookspecs.configuration.fields import Section
from scaleset_hookspecs.configuration.problems import MISSING, Mistake, Path, value_at

__all__ = ["Check", "View", "cross_check"]


class _UnusableError(Exception):
    """A setting that a check reads was refused, so the check cannot be made."""


class View:
    """A section as written, with the defaults of its model; refuses to give what was refused or misspelt.

    Args:
        model: The section's model.
        data: The section as written.
        refused: Paths that were refused already; a check that reads one of them is left out.
        misspelt: Paths that were meant by a key that does not exist; they do not count as missing.
    """

    def __init__(
        self, model: type[Section], data: Mapping[str, Any], refused: Collection[Path], misspelt: Collection[Path]
    ) -> None:
        self._model = model
        self._data = data
        self._refused = {*refused, *misspelt}
        self._misspelt = misspelt

    def get(self, *path: str | int) -> Any:  # noqa: ANN401 - as written
        """Return what the file says, or the default; `None` below a section that is not there."""
        if any(path[: len(bad)] == bad for bad in self._refused):
            raise _UnusableError
        value = value_at(self._data, path)
        return self._default(path) if value is MISSING else value

    def has(self, *path: str | int) -> bool:
        """Whether the file gives it, right or wrong."""
        if path in self._misspelt:
            raise _UnusableError
        return value_at(self._data, path) not in (MISSING, None)

    def known(self, *path: str | int) -> Any:  # noqa: ANN401 - as written
        """Return the same as `get`, but `None` for what was refused: for checks that compare many."""
        try:
            return self.get(*path)
        except _UnusableError:
            return None

    def each(self, *path: str | int) -> Iterator[Path]:
        """Yield the path of each entry of a list or of a mapping of names."""
        entries = self.get(*path)
        if isinstance(entries, Mapping | list | tuple):
            yield from ((*path, key) for key in (entries if isinstance(entries, Mapping) else range(len(entries))))

    def _default(self, path: Path) -> object:
        section: type[Section] | None = self._model
        field: FieldInfo | None = None
        for key in path:
            if section is None:
                return None
            if key not in section.model_fields:  # the name of an entry, or its index
                continue
            field = section.model_fields[str(key)]
            section = section_of(field)
        return None if field is None or field.is_required() else field.default


Check: TypeAlias = Callable[[View], Iterable[Mistake]]
"""Yields what does not fit together."""


def cross_check(checks: Iterable[Check], view: View) -> list[Mistake]:
    """Return what does not fit together."""
    found: list[Mistake] = []
    for check in checks:
        try:
            found += check(view)
        except _UnusableError:
            continue
    return found
