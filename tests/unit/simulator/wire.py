"""The wire as a client sees it, without a client: one connection for each request, standard library only."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from scaleset_simulator import SimulatorProcess

__all__ = ["AGENTS", "SETS", "Reply", "Wire"]

SETS = "/tenant-1/rest/_apis/runtime/runnerscalesets"
AGENTS = "/tenant-1/rest/_apis/distributedtask/pools/0/agents"
GROUPS = "/tenant-1/rest/_apis/runtime/runnergroups/"
REGISTRATION = "/api/v3/orgs/acme/actions/runners/registration-token"
ADMIN = "/api/v3/actions/runner-registration"


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def value(self) -> Any:  # noqa: ANN401  # JSON
        """The body as JSON."""
        return json.loads(self.body.decode("utf-8-sig"))

    @property
    def type_name(self) -> str:
        """The .NET name of an error."""
        return str(self.value.get("typeName", ""))


class Wire:
    """Sends requests to a simulator.

    Attributes:
        name: The scale set that is meant when none is named.
    """

    def __init__(self, simulator: SimulatorProcess) -> None:
        self.simulator = simulator
        self.admin_token = ""
        self.name = "demo-linux"

    def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = None,
        headers: dict[str, str] | None = None,
        timeout: float = 10.0,
    ) -> Reply:
        """Send one request; `token` is the whole Authorization header, by default the admin token's."""
        parts = urlsplit(self.simulator.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
        authorization = f"Bearer {self.admin_token}" if token is None else token
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        try:
            connection.request(method, path, data, {"Authorization": authorization, **(headers or {})})
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, found, answer.read())
        finally:
            connection.close()

    def registration_token(self) -> str:
        """Exchange the access token for a registration token."""
        reply = self.send("POST", REGISTRATION, token=f"Bearer {self.simulator.token}")
        assert reply.status == 201
        return str(reply.value["token"])

    def connect(self, authorization: str | None = None, **body: object) -> Reply:
        """Ask for an admin connection."""
        asked = {"url": self.simulator.config_url, "runner_event": "register", **body}
        return self.send("POST", ADMIN, asked, token=authorization or f"RemoteAuth {self.registration_token()}")

    def log_in(self) -> "Wire":
        """Go through the token chain."""
        self.admin_token = self.connect().value["token"]
        return self

    def scale_set(self, name: str | None = None) -> int:
        """Return the id of a scale set."""
        wanted = name or self.name
        (found,) = [one for one in self.send("GET", SETS).value["value"] if one["name"] == wanted]
        return int(found["id"])

    def mint(self, name: str, scale_set: int | None = None, **options: Any) -> Reply:  # noqa: ANN401  # those of send
        """Mint one JIT config."""
        number = self.scale_set() if scale_set is None else scale_set
        return self.send("POST", f"{SETS}/{number}/generatejitconfig", {"name": name, "workFolder": "_work"}, **options)

    def open_session(self, scale_set: int, owner: str = "host") -> Reply:
        """Open a session."""
        return self.send("POST", f"{SETS}/{scale_set}/sessions", {"ownerName": owner})

    def poll(self, session: Mapping[str, Any], *, after: int = 0, capacity: str | None = "10") -> Reply:
        """Poll a session's queue."""
        url = urlsplit(session["messageQueueUrl"])
        cursor = f"&lastMessageId={after}" if after else ""
        headers = {} if capacity is None else {"X-ScaleSetMaxCapacity": capacity}
        token = f"Bearer {session['messageQueueAccessToken']}"
        return self.send("GET", f"{url.path}?{url.query}{cursor}", token=token, headers=headers)

    def acknowledge(self, session: Mapping[str, Any], message: int) -> Reply:
        """Acknowledge a message."""
        url = urlsplit(session["messageQueueUrl"])
        return self.send(
            "DELETE", f"{url.path}/{message}?{url.query}", token=f"Bearer {session['messageQueueAccessToken']}"
        )
