"""Scenarios: the token chain of protocol section 3, its refusals, its renewals, and the GitHub App's JWT."""

from typing import Final

from tests.conformance.recorder import reply
from tests.conformance.scenario import AGENTS, TENANT, Scenario, call, sleep

__all__ = ["SCENARIOS"]

RUNNER: Final = {"id": 7, "name": "r-1", "runnerScaleSetId": 42}
GET: Final = call("get_runner", id=7)
ANSWER: Final = (f"GET {AGENTS}/7", [reply(200, RUNNER)])
REGISTRATION: Final = "POST */registration-token"
ADMIN: Final = "POST */actions/runner-registration"
INSTALLATION: Final = "POST */access_tokens"
CONNECTED: Final = reply(200, {"url": "{base}" + TENANT, "token": "{jwt:3600}"})
REFUSED: Final = {"message": "Not yet", "documentation_url": "https://example.com"}
TOKEN: Final = reply(201, {"token": "R1", "expires_at": "2999-01-01T00:00:00Z"})
BRIEF: Final = reply(201, {"token": "R1", "expires_at": "2001-01-01T00:00:00Z"})
BOM: Final = b"\xef\xbb\xbf"

SCENARIOS: Final = (
    Scenario(name="one chain for two calls", steps=[GET, GET], script=[ANSWER]),
    Scenario(name="GitHub App", steps=[GET], script=[ANSWER], app=True, differs=("jwt-id",)),
    Scenario(
        name="GitHub App: refused",
        steps=[GET],
        script=[(INSTALLATION, [reply(401, {"message": "A JSON web token could not be decoded"})])],
        app=True,
        differs=("jwt-id",),
    ),
    Scenario(
        name="GitHub App: no such installation",
        steps=[GET],
        script=[(INSTALLATION, [reply(404, {"message": "Not Found"})])],
        app=True,
        differs=("jwt-id",),
    ),
    Scenario(
        name="registration token: 401",
        steps=[GET],
        script=[(REGISTRATION, [reply(401, {"message": "Bad credentials"})])],
    ),
    Scenario(
        name="registration token: 403",
        steps=[GET],
        script=[(REGISTRATION, [reply(403, {"message": "Resource not accessible by integration"})])],
    ),
    Scenario(
        name="registration token: 404",
        steps=[GET],
        script=[(REGISTRATION, [reply(404, {"message": "Not Found"})])],
    ),
    Scenario(name="registration token: 500 once", steps=[GET], script=[(REGISTRATION, [reply(500), TOKEN]), ANSWER]),
    Scenario(name="registration token: 500 for good", steps=[GET], script=[(REGISTRATION, [reply(500)])]),
    Scenario(
        name="registration token: 200 is no success",
        steps=[GET],
        script=[(REGISTRATION, [reply(200, {"token": "R1", "expires_at": "2999-01-01T00:00:00Z"})])],
        differs=("not-understood-repeated",),
    ),
    Scenario(
        name="admin connection: 401 twice",
        steps=[GET],
        script=[(ADMIN, [reply(401, REFUSED), reply(401, REFUSED), CONNECTED]), ANSWER],
        retries=None,
    ),
    Scenario(
        name="admin connection: 403 once",
        steps=[GET],
        script=[(ADMIN, [reply(403, REFUSED), CONNECTED]), ANSWER],
        retries=None,
    ),
    Scenario(
        name="admin connection: 401 for good",
        steps=[GET],
        script=[(ADMIN, [reply(401, {"message": "Bad credentials"})])],
        retries=None,
        differs=("refusal-schedule",),
    ),
    Scenario(
        name="admin connection: 403 for good",
        steps=[GET],
        script=[(ADMIN, [reply(403, {"message": "Forbidden"})])],
        retries=None,
        differs=("refusal-schedule",),
    ),
    Scenario(name="admin connection: 502 once", steps=[GET], script=[(ADMIN, [reply(502), CONNECTED]), ANSWER]),
    Scenario(name="admin connection: 404", steps=[GET], script=[(ADMIN, [reply(404, {"message": "Not Found"})])]),
    Scenario(
        name="admin connection: 201 is a success",
        steps=[GET],
        script=[(ADMIN, [reply(201, {"url": "{base}" + TENANT, "token": "{jwt:3600}", "new": 1})]), ANSWER],
    ),
    Scenario(
        name="admin connection: no token",
        steps=[GET],
        script=[(ADMIN, [reply(200, {"url": "{base}" + TENANT, "token": ""})])],
        differs=("not-understood-repeated",),
    ),
    Scenario(
        name="admin connection: no URL",
        steps=[GET],
        script=[(ADMIN, [reply(200, {"token": "{jwt:3600}"})])],
        differs=("not-understood-repeated",),
    ),
    Scenario(
        name="admin connection: BOM",
        steps=[GET],
        script=[(ADMIN, [reply(200, BOM + b'{"url":"{base}/tenant/x","token":"{jwt:3600}"}')]), ANSWER],
    ),
    Scenario(
        name="admin token ended, registration token too",
        steps=[GET, sleep(1.3), GET],
        script=[
            (REGISTRATION, [BRIEF]),
            (ADMIN, [reply(200, {"url": "{base}" + TENANT, "token": "{jwt:1}"}), CONNECTED]),
            ANSWER,
        ],
    ),
    Scenario(
        name="admin token ended, registration token not",
        steps=[GET, sleep(1.3), GET],
        script=[(ADMIN, [reply(200, {"url": "{base}" + TENANT, "token": "{jwt:1}"}), CONNECTED]), ANSWER],
        differs=("tokens-reused",),
    ),
    Scenario(
        name="GitHub App: admin token ended",
        steps=[GET, sleep(1.3), GET],
        script=[(ADMIN, [reply(200, {"url": "{base}" + TENANT, "token": "{jwt:1}"}), CONNECTED]), ANSWER],
        app=True,
        differs=("jwt-id", "tokens-reused"),
    ),
    Scenario(
        name="admin token ends in 30 s",
        steps=[GET, GET],
        script=[(ADMIN, [reply(200, {"url": "{base}" + TENANT, "token": "{jwt:30}"}), CONNECTED]), ANSWER],
        differs=("renewal-ahead",),
    ),
    Scenario(
        name="admin token moves to another base",
        steps=[GET, sleep(1.3), GET],
        script=[
            (REGISTRATION, [BRIEF]),
            (
                ADMIN,
                [
                    reply(200, {"url": "{base}" + TENANT, "token": "{jwt:1}"}),
                    reply(200, {"url": "{base}/other", "token": "{jwt:3600}"}),
                ],
            ),
            ("GET */agents/7", [reply(200, RUNNER)]),
        ],
    ),
    Scenario(
        name="admin token refused",
        steps=[GET],
        script=[
            (
                f"GET {AGENTS}/7",
                [reply(401, {"typeName": "GitHub.InvalidTokenException, X", "message": "no"}), reply(200, RUNNER)],
            )
        ],
        differs=("refused-token-replaced",),
    ),
)
