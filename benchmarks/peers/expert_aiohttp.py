"""aiohttp as an expert would write it: workers, prepared headers and address, raw bodies."""

import asyncio
import json
import ssl
from typing import Any

import aiohttp  # in the bench venv only
from yarl import URL  # comes with aiohttp

from benchmarks.peers.chain import chain
from benchmarks.peers.conversation import Meter, converse, flood, names

TRIES = 5


class ExpertAiohttp:
    """The peer."""

    async def connect(self, order: dict[str, Any]) -> None:
        """Open the client and resolve the scale set."""
        self._most = order["concurrency"]
        verify: Any = ssl.create_default_context(cafile=order["ca_file"]) if order["ca_file"] else True
        connector = aiohttp.TCPConnector(limit=self._most, ssl=verify, keepalive_timeout=60)
        self._client = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        url, self._headers = await chain(order, self._send)
        self._url = URL(url, encoded=True)

    async def _send(self, method: str, url: str, headers: dict[str, str], body: Any) -> Any:  # noqa: ANN401  # JSON
        async with self._client.request(method, url, headers=headers, json=body, raise_for_status=True) as response:
            return await response.json(content_type=None)

    async def _mint(self, name: str) -> str:
        """Mint, and try again as its users do: a new name, after a wait that doubles."""
        for attempt in range(TRIES):
            try:
                return await self._once(name)
            except (aiohttp.ClientError, RuntimeError):
                if attempt == TRIES - 1:
                    raise
            await asyncio.sleep(0.5 * 2**attempt)
            name = names()
        raise AssertionError

    async def _once(self, name: str) -> str:
        body = b'{"name":"%b","workFolder":"_work"}' % name.encode()
        async with self._client.post(self._url, data=body, headers=self._headers) as response:
            if response.status != 200:
                raise RuntimeError(f"status {response.status}")
            config: str = json.loads(await response.read())["encodedJITConfig"]
            return config

    async def burst(self, order: dict[str, Any], meter: Meter) -> None:
        """Mint as many as the order says."""
        await flood(order["count"], self._most, self._mint, meter)

    async def close(self) -> None:
        """Close."""
        await self._client.close()


if __name__ == "__main__":
    asyncio.run(converse(ExpertAiohttp()))
