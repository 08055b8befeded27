"""Whole conversations with the service that every client has to complete; each raises when something does not hold."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.conformance.lines import LineDriver
from tests.conformance.service import Service

__all__ = ["SCENARIOS", "Scenario"]

SCALE_SET: Final = "conformance"
OWNER: Final = "conformance-host"

TOKEN_SECONDS: Final = 1.5
"""Lifetime of tokens that end in the middle of a scenario."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One conversation, for one or both of the service's backends.

    Attributes:
        options: What is particular about the service.
    """

    name: str
    run: Callable[[LineDriver, Service], None]
    backends: tuple[str, ...] = ("assign", "offer")
    options: Mapping[str, object] = field(default_factory=dict)


def connect(client: LineDriver, service: Service) -> int:
    """Connect, make the scale set, and return its id."""
    client.call("connect", config_url=service.config_url, token=service.token, retry_max=2, retry_wait_max=1)
    group = client.call("get_runner_group", name="default")
    assert group["id"] == 1
    labels = [{"name": SCALE_SET, "type": "System"}]
    made = client.call("create_scale_set", name=SCALE_SET, runner_group_id=1, labels=labels)
    return int(made["id"])


def messages(client: LineDriver, after: int, wanted: str, count: int) -> tuple[int, list[dict[str, Any]]]:
    """Poll until as many events of a kind were seen, acknowledging each message; return the cursor and the events."""
    found: list[dict[str, Any]] = []
    for _ in range(20):
        message = client.call("poll", last_message_id=after, capacity=10)
        if message is None:
            continue
        found += [event for event in message["events"] if event["kind"] == wanted]
        after = message["id"]
        client.call("acknowledge", message_id=after)
        if len(found) >= count:
            return after, found
    raise AssertionError(f"{len(found)} events `{wanted}` in 20 polls; expected {count}")


def groups_and_scale_sets(client: LineDriver, service: Service) -> None:
    """Group, look-up of what is not there, create, find, get, change, refuse a second one, delete."""
    client.call("connect", config_url=service.config_url, token=service.token)
    assert client.call("get_runner_group", name="default")["id"] == 1
    assert client.call("get_scale_set", name=SCALE_SET, runner_group_id=1) is None
    labels = [{"name": "linux", "type": "System"}, {"name": "large", "type": "System"}]
    made = client.call("create_scale_set", name=SCALE_SET, runner_group_id=1, labels=labels, disable_update=True)
    assert (made["name"], made["labels"], made["disable_update"]) == (SCALE_SET, labels, True)
    assert client.call("get_scale_set", name=SCALE_SET, runner_group_id=1) == made
    assert client.call("get_scale_set_by_id", id=made["id"]) == made
    client.refused("create_scale_set", name=SCALE_SET, runner_group_id=1, labels=labels)
    renamed = client.call("update_scale_set", id=made["id"], name=f"{SCALE_SET}-2")
    assert (renamed["id"], renamed["name"]) == (made["id"], f"{SCALE_SET}-2")
    client.call("delete_scale_set", id=made["id"])
    assert client.call("get_scale_set", name=f"{SCALE_SET}-2", runner_group_id=1) is None


def mints_and_runners(client: LineDriver, service: Service) -> None:
    """Mint, get, find, refuse a name that is taken, remove, mint under the same name again."""
    scale_set = connect(client, service)
    minted = client.call("mint", scale_set_id=scale_set, name="r-1", work_folder="_work")
    runner = {"id": minted["runner"]["id"], "name": "r-1", "scale_set_id": scale_set}
    assert minted["runner"] == runner
    assert len(minted["encoded_jit_config"]) > 1000
    assert client.call("get_runner", id=runner["id"]) == runner
    assert client.call("get_runner_by_name", name="r-1") == runner
    assert client.refused("mint", scale_set_id=scale_set, name="r-1") == "runner_exists"
    client.call("remove_runner", id=runner["id"])
    assert client.refused("get_runner", id=runner["id"]) == "runner_not_found"
    assert client.call("get_runner_by_name", name="r-1") is None
    again = client.call("mint", scale_set_id=scale_set, name="r-1")
    assert again["runner"]["id"] != runner["id"]
    assert again["encoded_jit_config"] != minted["encoded_jit_config"]


def whole_cycle(client: LineDriver, service: Service) -> None:
    """Session, poll, acquire, mint, start, refuse to remove a busy runner, complete, acknowledge, close, delete."""
    scale_set = connect(client, service)
    session = client.call("open_session", scale_set_id=scale_set, owner=OWNER)
    assert session["owner"] == OWNER
    assert session["statistics"]["assigned_jobs"] == 0
    service.add_jobs(SCALE_SET, 2)
    cursor = 0
    if service.backend == "offer":
        cursor, offers = messages(client, cursor, "available", 2)
        ids = sorted(offer["request_id"] for offer in offers)
        assert all(ids)
        assert sorted(client.call("acquire", request_ids=ids)) == ids
        assert client.call("acquire", request_ids=ids) == []
    cursor, assigned = messages(client, cursor, "assigned", 2)
    for number in (1, 2):
        minted = client.call("mint", scale_set_id=scale_set, name=f"cycle-{number}")
        service.start_runner(minted["encoded_jit_config"])
    cursor, started = messages(client, cursor, "started", 2)
    assert {event["job_id"] for event in started} == {event["job_id"] for event in assigned}
    assert {event["runner_name"] for event in started} == {"cycle-1", "cycle-2"}
    busy = started[0]["runner_id"]
    assert client.refused("remove_runner", id=busy) == "job_still_running"
    cursor, completed = messages(client, cursor, "completed", 2)
    assert {event["result"] for event in completed} == {"succeeded"}
    assert client.refused("get_runner", id=busy) == "runner_not_found"
    client.call("close_session")
    client.call("delete_scale_set", id=scale_set)


def refreshed_session(client: LineDriver, service: Service) -> None:
    """A queue token that ends in the middle is renewed, and no message is lost by it."""
    scale_set = connect(client, service)
    client.call("open_session", scale_set_id=scale_set, owner=OWNER)
    service.add_jobs(SCALE_SET, 1)
    kind = "available" if service.backend == "offer" else "assigned"
    cursor, first = messages(client, 0, kind, 1)
    time.sleep(TOKEN_SECONDS)
    service.add_jobs(SCALE_SET, 1)
    _, second = messages(client, cursor, kind, 1)
    assert first[0]["job_id"] != second[0]["job_id"]
    assert service.count("refresh_session") >= 1
    client.call("close_session")


def renewed_admin_token(client: LineDriver, service: Service) -> None:
    """An admin token that ended is replaced, by the whole chain, before the next request is sent."""
    scale_set = connect(client, service)
    client.call("mint", scale_set_id=scale_set, name="before")
    time.sleep(TOKEN_SECONDS)
    client.call("mint", scale_set_id=scale_set, name="after")
    assert service.count("admin") >= 2


def redelivered_message(client: LineDriver, service: Service) -> None:
    """A message that was not acknowledged comes again, in a later session; an acknowledged one does not."""
    scale_set = connect(client, service)
    kind = "available" if service.backend == "offer" else "assigned"
    client.call("open_session", scale_set_id=scale_set, owner=OWNER)
    service.add_jobs(SCALE_SET, 1)
    seen = client.call("poll", last_message_id=0, capacity=10)
    assert [event["kind"] for event in seen["events"]] == [kind]
    client.call("close_session")
    client.call("open_session", scale_set_id=scale_set, owner=OWNER)
    again = client.call("poll", last_message_id=0, capacity=10)
    assert (again["id"], again["events"]) == (seen["id"], seen["events"])
    client.call("acknowledge", message_id=again["id"])
    assert client.call("poll", last_message_id=0, capacity=10) is None
    client.call("close_session")


def refused_credentials(client: LineDriver, service: Service) -> None:
    """A wrong token gets nowhere, and nothing is registered."""
    client.call("connect", config_url=service.config_url, token="wrong", retry_max=0)
    client.refused("get_runner_group", name="other")
    assert service.count("registration") == 1
    assert service.count("admin") == 0


def app_credentials(client: LineDriver, service: Service) -> None:
    """A GitHub App's JWT and installation token lead to the same place."""
    client.call("connect", config_url=service.config_url, app=service.app)
    made = client.call("create_scale_set", name=SCALE_SET, runner_group_id=1, labels=[])
    assert client.call("mint", scale_set_id=made["id"], name="by-app")["runner"]["scale_set_id"] == made["id"]


SCENARIOS: Final = (
    Scenario(name="groups and scale sets", run=groups_and_scale_sets, backends=("assign",)),
    Scenario(name="mints and runners", run=mints_and_runners, backends=("assign",)),
    Scenario(name="whole cycle", run=whole_cycle),
    Scenario(name="refreshed session", run=refreshed_session, options={"queue_token_ttl": TOKEN_SECONDS}),
    Scenario(
        name="renewed admin token",
        run=renewed_admin_token,
        backends=("assign",),
        options={"admin_token_ttl": TOKEN_SECONDS},
    ),
    Scenario(name="redelivered message", run=redelivered_message),
    Scenario(name="GitHub App", run=app_credentials, backends=("assign",)),
    Scenario(name="refused credentials", run=refused_credentials, backends=("assign",)),
)
