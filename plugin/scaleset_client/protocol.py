"""The seam between bytes and values: an answer is either what the operation gives, or an error of ours."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from scaleset_client.decoding import Unreadable, document, entries, mapping, minted, text
from scaleset_client.failures import failure, item_failure, unreadable
from scaleset_client.operations import RULES, Operation
from scaleset_client.transport import Response
from scaleset_client.types import MintedRunner, MintRequest
from scaleset_hookspecs.errors import Rejected, ServiceError, Unavailable

__all__ = ["nothing", "one_named", "read", "read_slice"]

T = TypeVar("T")


def read(
    kind: Operation,
    response: Response,
    decode: Callable[[object], T],
    *,
    now: float,
    secrets: Iterable[str] = (),
) -> T:
    """Return what the answer says.

    Args:
        kind: The operation.
        response: Its answer.
        decode: From decoded JSON to the value, `None` after a 204; `nothing` if the body does not matter.
        now: Unix time.
        secrets: Texts that must not appear in an error.

    Raises:
        ServiceError: The status does not mean success, or the body cannot be read.
    """
    if response.status not in RULES[kind].success:
        if response.status < 300:
            response.abandon()  # as below: a success, but of something else
        raise failure(kind, response, now=now, secrets=secrets)
    if decode is nothing:
        return decode(None)
    try:
        return decode(None if response.status == 204 else document(response.body))
    except Unreadable as why:
        response.abandon()  # an answer to something else, or cut off: what follows it may be one off, too
        raise unreadable(kind, response, str(why), secrets=secrets) from None


def nothing(_value: object) -> None:
    """Decode an answer whose body does not matter."""


def read_slice(
    wanted: Sequence[MintRequest], scale_set_id: int, response: Response, *, now: float, secrets: Iterable[str] = ()
) -> tuple[MintedRunner | ServiceError, ...]:
    """Return what became of each member of a slice, in the order asked for; members are matched by runner name.

    The service may change the case of a name. A member that nobody asked for is given to nobody.

    Raises:
        SliceRefused: The service does not take slices.
        ServiceError: The slice failed as a whole.
    """
    secrets = tuple(secrets)
    members = read(Operation.MINT_SLICE, response, entries, now=now, secrets=secrets)
    found: dict[str, MintedRunner | ServiceError] = {}
    for member in members:
        name, outcome = _member(member, scale_set_id, response, secrets)
        found.setdefault(name.casefold(), outcome)
    if not found.keys() <= {one.name.casefold() for one in wanted}:
        response.abandon()
    return tuple(found.get(one.name.casefold()) or _missing(response, secrets) for one in wanted)


def _member(
    member: object, scale_set_id: int, response: Response, secrets: tuple[str, ...]
) -> tuple[str, MintedRunner | ServiceError]:
    name = ""
    try:
        data = mapping(member)
        runner = data.get("runner")
        if not isinstance(runner, dict):
            return text(data.get("name")), item_failure(data, response, secrets=secrets)
        name = text(runner.get("name"))
        return name, minted(data, name, scale_set_id)
    except Unreadable as why:
        return name, unreadable(Operation.MINT, response, str(why), secrets=secrets)


def _missing(response: Response, secrets: tuple[str, ...]) -> Unavailable:
    return unreadable(Operation.MINT, response, "the slice's answer does not mention this runner", secrets=secrets)


def one_named(kind: Operation, found: Sequence[T], name: str, name_of: Callable[[T], str]) -> T | None:
    """Return the one that was looked for by name, or `None` (protocol 4.2, rows 1, 7 and 10).

    Raises:
        Unreadable: All are others: the list answers another question, and says nothing about this one.
        Rejected: More than one has the name.
    """
    same = [one for one in found if name_of(one).casefold() == name.casefold()]
    if len(same) > 1:
        same = [one for one in same if name_of(one) == name] or same
    if len(same) > 1:
        raise Rejected(f"{RULES[kind].words} failed: {len(same)} of them are called {name!r}", status=200)
    if found and not same:
        raise Unreadable(f"the list holds {len(found)} others, and not {name!r}, which was asked for")
    return same[0] if same else None
