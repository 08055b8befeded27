"""httpx as most people would write it: one client, a semaphore, a gather."""

import asyncio
import ssl
from typing import Any

import httpx

from benchmarks.peers.chain import chain
from benchmarks.peers.conversation import Meter, converse, names


class PlainHttpx:
    """The peer."""

    async def connect(self, order: dict[str, Any]) -> None:
        """Open the client and resolve the scale set."""
        most = order["concurrency"]
        self._most = most
        verify = ssl.create_default_context(cafile=order["ca_file"]) if order["ca_file"] else True
        limits = httpx.Limits(max_connections=most, max_keepalive_connections=most)
        transport = httpx.AsyncHTTPTransport(limits=limits, verify=verify, retries=3)  # of connecting only, as it says
        self._client = httpx.AsyncClient(transport=transport, timeout=60)
        self._url, self._headers = await chain(order, self._send)

    async def _send(self, method: str, url: str, headers: dict[str, str], body: Any) -> Any:  # noqa: ANN401  # JSON
        response = await self._client.request(method, url, headers=headers, json=body)
        return response.raise_for_status().json()

    async def burst(self, order: dict[str, Any], meter: Meter) -> None:
        """Mint as many as the order says."""
        admission = asyncio.Semaphore(self._most)

        async def mint() -> None:
            async with admission:
                body = {"name": names(), "workFolder": "_work"}
                try:
                    response = await self._client.post(self._url, headers=self._headers, json=body)
                    meter.took(response.raise_for_status().json()["encodedJITConfig"])
                except httpx.HTTPError as error:
                    meter.error = meter.error or f"{type(error).__name__}: {error}".splitlines()[0]

        await asyncio.gather(*(mint() for _ in range(order["count"])))

    async def close(self) -> None:
        """Close."""
        await self._client.aclose()


if __name__ == "__main__":
    asyncio.run(converse(PlainHttpx()))
