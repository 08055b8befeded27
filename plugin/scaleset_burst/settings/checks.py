"""What must hold between the plugin's settings."""

from collections.abc import Iterator
from typing import Final

from scaleset_client.settings import GITHUB_CHECKS
from scaleset_hookspecs.configuration import Check, Mistake, View

__all__ = ["CHECKS"]


def _a_scope(view: View) -> Iterator[Mistake]:
    if view.get("github") is None:
        expected = "a section `github`, here or at the top of the file, with `config_url`, and `token` or `app`"
        yield Mistake(path=("github",), found="nothing", expected=expected)


def _warm_within_max(view: View) -> Iterator[Mistake]:
    warm, most = view.get("connections", "warm"), view.get("connections", "max")
    if warm > most and view.has("connections", "warm"):
        expected = f"at most `connections.max`, which is {most}"
        yield Mistake(path=("connections", "warm"), found=f"`{warm}`", expected=expected)
    elif warm > most:
        expected = f"at least `connections.warm`, which is {warm} if it is left out"
        yield Mistake(path=("connections", "max"), found=f"`{most}`", expected=expected)


def _key_with_certificate(view: View) -> Iterator[Mistake]:
    if view.has("connections", "client_key") and not view.has("connections", "client_certificate"):
        expected = "`client_certificate` beside it"
        yield Mistake(path=("connections", "client_key"), found="a key without a certificate", expected=expected)


def _override_is_lower(view: View) -> Iterator[Mistake]:
    limit = view.get("batch", "max_concurrency")
    if not isinstance(limit, int):
        return
    for path in view.each("scale_sets"):
        own = view.known(*path, "max_concurrency")
        if own is not None and own > limit:
            expected = f"at most `batch.max_concurrency`, which is {limit}"
            yield Mistake(path=(*path, "max_concurrency"), found=f"`{own}`", expected=expected)


CHECKS: Final[tuple[Check, ...]] = (
    _a_scope,
    *GITHUB_CHECKS,
    _warm_within_max,
    _key_with_certificate,
    _override_is_lower,
)
