"""The token chain as a person would write it for a peer that has no scale set client (protocol section 3)."""

from collections.abc import Awaitable, Callable
from typing import Any

__all__ = ["Send", "chain"]

Send = Callable[[str, str, dict[str, str], Any], Awaitable[Any]]


async def chain(order: dict[str, Any], send: Send) -> tuple[str, dict[str, str]]:
    """Return the address that mints and the headers it wants.

    Args:
        order: The harness's order, with `config_url`, `token` and `scale_set`.
        send: Sends method, URL, headers and JSON body; returns the decoded answer.
    """
    root, _, org = order["config_url"].rpartition("/")
    headers = {"Authorization": f"Bearer {order['token']}", "Content-Type": "application/vnd.github.v3+json"}
    token = (await send("POST", f"{root}/api/v3/orgs/{org}/actions/runners/registration-token", headers, None))["token"]
    headers = {"Authorization": f"RemoteAuth {token}", "Content-Type": "application/json"}
    body = {"url": order["config_url"], "runner_event": "register"}
    admin = await send("POST", f"{root}/api/v3/actions/runner-registration", headers, body)
    headers = {"Authorization": f"Bearer {admin['token']}", "Content-Type": "application/json"}
    tenant, _, ring = admin["url"].partition("?")  # the service's address may have a query of its own
    base, version = tenant.rstrip("/") + "/_apis/runtime/runnerscalesets", "api-version=6.0-preview"
    version += f"&{ring}" if ring else ""
    found = await send("GET", f"{base}?runnerGroupId=1&name={order['scale_set']}&{version}", headers, None)
    return f"{base}/{found['value'][0]['id']}/generatejitconfig?{version}", headers
