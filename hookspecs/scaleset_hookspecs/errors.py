"""What can go wrong, divided by what the caller can do about it."""

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = [
    "AuthenticationFailed",
    "ConfigError",
    "Conflict",
    "HostError",
    "NotFound",
    "PermissionDenied",
    "Problem",
    "RateLimited",
    "Rejected",
    "ScalesetError",
    "ServiceError",
    "Unavailable",
    "UsageError",
]


class ScalesetError(Exception):
    """Root of every error of the contract and of the plugins that keep it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong with a configuration, with the place where it stands.

    Attributes:
        path: Key path, such as `plugins.burst.batch.max_concurrency`.
        found: What stands there; never a secret.
        expected: What would be right, and what to do.
        file: The file, if the host said where its configuration came from.
        line: 1-based line in that file.
    """

    path: str
    found: str
    expected: str
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        """Return the problem on one line: place, key path, found, expected."""
        place = f"{self.file or '<configuration>'}:{self.line}: " if self.line is not None else ""
        if not place and self.file:
            place = f"{self.file}: "
        return f"{place}{self.path}: found {self.found}; expected {self.expected}"


class ConfigError(ScalesetError):
    """The configuration is wrong: fix the file. Carries every problem at once."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        count = len(self.problems)
        head = f"{count} problem{'' if count == 1 else 's'} in the configuration"
        super().__init__("\n".join([head, *(f"  {problem}" for problem in self.problems)]))


class UsageError(ScalesetError):
    """A call was made with arguments that can never be right: fix the caller."""


class HostError(ScalesetError):
    """A call cannot be carried where it was made: another loop or process, a portal not running, a time limit."""


class ServiceError(ScalesetError):
    """The service, or the way to it, failed; the branches below say what to do.

    Attributes:
        status: HTTP status, `None` if there was no answer.
        type_name: The service's own exception name (`typeName`), shortened to its class name.
        activity_id: `ActivityId` header, which support asks for.
        request_id: `X-GitHub-Request-Id` header, which support asks for.
        retry_after: Seconds to wait before the next request, if the service said so.
        maybe_applied: The request may have taken effect although it failed.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        type_name: str | None = None,
        activity_id: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        maybe_applied: bool = False,
    ) -> None:
        self.message = message
        self.status = status
        self.type_name = type_name
        self.activity_id = activity_id
        self.request_id = request_id
        self.retry_after = retry_after
        self.maybe_applied = maybe_applied
        super().__init__(message)

    def __str__(self) -> str:
        """Return the message followed by what support needs to find the request."""
        facts = (
            ("status", self.status),
            ("type", self.type_name),
            ("retry after", f"{self.retry_after:g} s" if self.retry_after is not None else None),
            ("activity id", self.activity_id),
            ("request id", self.request_id),
        )
        known = ", ".join(f"{name} {value}" for name, value in facts if value is not None)
        return f"{self.message} ({known})" if known else self.message


class Unavailable(ServiceError):
    """Try again later: no answer, a broken answer, or the service is overloaded."""


class RateLimited(Unavailable):
    """The service told us to wait; `retry_after` says how long when it is known."""


class Rejected(ServiceError):
    """The service refused for good: the same request will fail again."""


class AuthenticationFailed(Rejected):
    """The credentials were refused: check the token or the GitHub App."""


class PermissionDenied(Rejected):
    """The credentials are good but may not do this: check scopes and permissions."""


class NotFound(Rejected):
    """What the request names does not exist, or is invisible to these credentials."""


class Conflict(Rejected):
    """The name, the session or the runner is in use; `type_name` says which."""
