"""Requests as values: every row of protocol 4.2."""

import json
from collections.abc import Callable

import pytest

from scaleset_client import requests
from scaleset_client.operations import RULES, Operation
from scaleset_client.requests import Request
from scaleset_client.types import MintRequest
from scaleset_client.urls import parse_config_url
from scaleset_hookspecs import Label, UsageError

SS, AG = "_apis/runtime/runnerscalesets", "_apis/distributedtask/pools/0/agents"
VERSION = ("api-version", "6.0-preview")
ALL_GIVEN = requests.update_scale_set(
    42, name="n", runner_group_id=3, labels=[Label(name="l", type="")], disable_update=False
)
NOTHING_GIVEN = requests.update_scale_set(42, name=None, runner_group_id=None, labels=None, disable_update=None)


@pytest.mark.parametrize(
    ("request_", "method", "path", "query", "body"),
    [
        (requests.find_scale_set("n", 3), "GET", SS, [("runnerGroupId", "3"), ("name", "n")], None),
        (requests.list_scale_sets(None), "GET", SS, [], None),
        (requests.list_scale_sets(3), "GET", SS, [("runnerGroupId", "3")], None),
        (requests.get_scale_set(42), "GET", f"{SS}/42", [], None),
        (
            ALL_GIVEN,
            "PATCH",
            f"{SS}/42",
            [],
            {
                "name": "n",
                "runnerGroupId": 3,
                "labels": [{"type": "System", "name": "l"}],
                "RunnerSetting": {"disableUpdate": False},
            },
        ),
        (NOTHING_GIVEN, "PATCH", f"{SS}/42", [], {}),
        (requests.delete_scale_set(42), "DELETE", f"{SS}/42", [], None),
        (requests.find_runner_group("g"), "GET", "_apis/runtime/runnergroups/", [("groupName", "g")], None),
        (requests.mint(42, "r", "w"), "POST", f"{SS}/42/generatejitconfig", [], {"name": "r", "workFolder": "w"}),
        (
            requests.mint_slice(42, [MintRequest(name="r")]),
            "POST",
            f"{SS}/42/generatejitconfig",
            [],
            [{"name": "r", "workFolder": ""}],
        ),
        (requests.get_runner(7), "GET", f"{AG}/7", [], None),
        (requests.find_runner("r"), "GET", AG, [("agentName", "r")], None),
        (requests.list_runners(), "GET", AG, [], None),
        (requests.remove_runner(7), "DELETE", f"{AG}/7", [], None),
        (requests.open_session(42, "o"), "POST", f"{SS}/42/sessions", [], {"ownerName": "o"}),
        (requests.refresh_session(42, "a/b"), "PATCH", f"{SS}/42/sessions/a%2Fb", [], None),
        (requests.close_session(42, "s"), "DELETE", f"{SS}/42/sessions/s", [], None),
        (requests.acquire_jobs(42, (5, 6)), "POST", f"{SS}/42/acquirejobs", [], [5, 6]),
        (requests.acquirable_jobs(42), "GET", f"{SS}/42/acquirablejobs", [], None),
    ],
)
def test_rows(request_: Request, method: str, path: str, query: list[tuple[str, str]], body: object) -> None:
    """Method, path, query with the API version, and body."""
    assert (request_.method, request_.path) == (method, path)
    assert request_.query == (*query, VERSION)
    assert (json.loads(request_.body) if request_.body else None) == body


@pytest.mark.parametrize(
    ("config_url", "path"),
    [
        ("https://github.com/acme", "orgs/acme"),
        ("https://github.com/acme/app", "repos/acme/app"),
        ("https://github.com/enterprises/big co", "enterprises/big%20co"),
    ],
)
def test_the_registration_token_of_every_scope(config_url: str, path: str) -> None:
    """Protocol 3.2; GitHub's API takes no `api-version` in the query."""
    made = requests.registration_token(parse_config_url(config_url))
    assert (made.path, made.query, made.body) == (f"{path}/actions/runners/registration-token", (), b"")


def test_every_operation_has_its_rule() -> None:
    """A kind without a rule would fail on its first use only."""
    assert set(RULES) == set(Operation)
    assert not RULES[Operation.MINT].repeatable
    assert not RULES[Operation.MINT_SLICE].repeatable


HALF = "li\ud800nux"


@pytest.mark.parametrize(
    "make",
    [
        lambda: requests.find_scale_set(HALF, 1),
        lambda: requests.create_scale_set(HALF, None, (), disable_update=False),
        lambda: requests.create_scale_set("a", None, [Label(name=HALF)], disable_update=False),
        lambda: requests.update_scale_set(1, name=HALF, runner_group_id=None, labels=None, disable_update=None),
        lambda: requests.find_runner_group(HALF),
        lambda: requests.find_runner(HALF),
        lambda: requests.open_session(1, HALF),
        lambda: requests.mint(1, HALF),
        lambda: requests.mint(1, "a", HALF),
        lambda: requests.mint_slice(1, [MintRequest(name="a", work_folder=HALF)]),
    ],
)
def test_half_a_character_is_refused_before_anything_is_sent(make: Callable[[], object]) -> None:
    """It ended as a `UnicodeEncodeError` of whoever asked."""
    with pytest.raises(UsageError, match="holds half a character"):
        make()


def test_a_group_that_was_not_given_is_not_sent() -> None:
    """The service chooses it then, as it does for the official client."""
    assert "runnerGroupId" not in json.loads(requests.create_scale_set("a", None, (), disable_update=False).body)
    assert json.loads(requests.create_scale_set("a", 3, (), disable_update=False).body)["runnerGroupId"] == 3


def test_labels_are_texts_or_labels() -> None:
    wanted = ("linux", Label(name="gpu", type="User"))
    made = requests.create_scale_set("x", None, wanted, disable_update=False)
    assert json.loads(made.body)["labels"] == [{"type": "System", "name": "linux"}, {"type": "User", "name": "gpu"}]


@pytest.mark.parametrize("labels", ["linux", [None], [7], [""], [("a", "b")], [{"name": "linux"}], [Label(name="")]])
def test_anything_else_is_no_label_and_says_what_is(labels: object) -> None:
    with pytest.raises(UsageError, match=r"expected .*linux"):
        requests.create_scale_set("x", None, labels, disable_update=False)  # type: ignore[arg-type]
