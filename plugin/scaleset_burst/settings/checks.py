"""What must hold between settings.

Each check runs as soon as the settings it reads are good, whatever else is not.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final, TypeAlias

from pydantic.fields import FieldInfo

from scaleset_burst.settings.accepts import section_of
from scaleset_burst.settings.addresses import is_enterprise
from scaleset_burst.settings.model import Settings
from scaleset_burst.settings.problems import MISSING, Mistake, Path, value_at

__all__ = ["cross_check"]


_Paths: TypeAlias = Collection[Path]


class _UnusableError(Exception):
    """A setting that a check reads was refused, so the check cannot be made."""


class _View:
    """The section as written, with defaults; refuses to give what was refused or misspelt."""

    def __init__(self, data: Mapping[str, Any], refused: _Paths, misspelt: _Paths) -> None:
        self._data = data
        self._refused = {*refused, *misspelt}
        self._misspelt = misspelt

    def get(self, *path: str) -> Any:  # noqa: ANN401 - as written
        """Return what the file says, or the default; `None` below a section that is not there."""
        if any(path[: len(bad)] == bad for bad in self._refused):
            raise _UnusableError
        value = value_at(self._data, path)
        return _default(path) if value is MISSING else value

    def has(self, *path: str) -> bool:
        """Whether the file gives it, right or wrong."""
        if path in self._misspelt:
            raise _UnusableError
        return value_at(self._data, path) not in (MISSING, None)


def _default(path: Path) -> object:
    section: Any = Settings
    field: FieldInfo | None = None
    for key in path:
        if key not in section.model_fields:  # the name of a scale set
            continue
        field = section.model_fields[key]
        section = section_of(field)
    return None if field is None or field.is_required() else field.default


def _a_scope(view: _View) -> Iterator[Mistake]:
    if view.get("github") is None:
        expected = "a section `github`, here or at the top of the file, with `config_url`, and `token` or `app`"
        yield Mistake(path=("github",), found="nothing", expected=expected)


def _one_credential(view: _View) -> Iterator[Mistake]:
    if view.get("github") is None:
        return
    given = [key for key in ("token", "app") if view.has("github", key)]
    if len(given) != 1:
        found = "both `token` and `app`" if given else "neither `token` nor `app`"
        yield Mistake(path=("github",), found=found, expected="exactly one of `token` and `app`")


def _no_app_for_enterprises(view: _View) -> Iterator[Mistake]:
    """An App cannot register runners for an enterprise (protocol 3.1)."""
    url = view.get("github", "config_url")
    if isinstance(url, str) and is_enterprise(url) and view.has("github", "app"):
        expected = "`token`; an App cannot act for an enterprise"
        yield Mistake(path=("github", "app"), found="a GitHub App for an enterprise", expected=expected)


def _warm_within_max(view: _View) -> Iterator[Mistake]:
    warm, most = view.get("connections", "warm"), view.get("connections", "max")
    if warm > most and view.has("connections", "warm"):
        expected = f"at most `connections.max`, which is {most}"
        yield Mistake(path=("connections", "warm"), found=f"`{warm}`", expected=expected)
    elif warm > most:
        expected = f"at least `connections.warm`, which is {warm} if it is left out"
        yield Mistake(path=("connections", "max"), found=f"`{most}`", expected=expected)


def _key_with_certificate(view: _View) -> Iterator[Mistake]:
    if view.has("connections", "client_key") and not view.has("connections", "client_certificate"):
        expected = "`client_certificate` beside it"
        yield Mistake(path=("connections", "client_key"), found="a key without a certificate", expected=expected)


def _override_is_lower(view: _View) -> Iterator[Mistake]:
    limit, sets = view.get("batch", "max_concurrency"), view.get("scale_sets")
    if not isinstance(limit, int) or not isinstance(sets, Mapping):
        return
    for name in sets:
        try:
            own = view.get("scale_sets", name, "max_concurrency")
        except _UnusableError:
            continue
        if own is not None and own > limit:
            path = ("scale_sets", name, "max_concurrency")
            expected = f"at most `batch.max_concurrency`, which is {limit}"
            yield Mistake(path=path, found=f"`{own}`", expected=expected)


CHECKS: Final[tuple[Callable[[_View], Iterator[Mistake]], ...]] = (
    _a_scope,
    _one_credential,
    _no_app_for_enterprises,
    _warm_within_max,
    _key_with_certificate,
    _override_is_lower,
)


def cross_check(data: Mapping[str, Any], refused: _Paths, misspelt: _Paths = ()) -> list[Mistake]:
    """Return what does not fit together.

    Args:
        data: The section as written.
        refused: Paths that were refused already; a check that reads one of them is left out.
        misspelt: Paths that were meant by a key that does not exist; they do not count as missing.
    """
    view = _View(data, refused, misspelt)
    found: list[Mistake] = []
    for check in CHECKS:
        try:
            found += check(view)
        except _UnusableError:
            continue
    return found
