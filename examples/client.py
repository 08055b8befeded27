"""The client alone: lists scale sets, mints one JIT config, removes the runner again.

Run as `GITHUB_TOKEN=... python examples/client.py https://github.com/ORG`.
"""

import asyncio
import os
import sys

from scaleset_client import ScaleSetClient, ScalesetError, TokenCredentials


async def main(config_url: str, token: str) -> None:
    """List, mint, remove."""
    async with ScaleSetClient(config_url, TokenCredentials(token=token)) as client:
        scale_sets = await client.list_scale_sets()
        for scale_set in scale_sets:
            print(f"{scale_set.id}: {scale_set.name}")
        if scale_sets:
            minted = await client.generate_jit_config(scale_sets[0].id, f"trial-{os.urandom(8).hex()}")
            print(f"minted {minted.runner.name}, {len(minted.encoded_jit_config)} characters")
            await client.remove_runner(minted.runner.id)


if __name__ == "__main__":
    if len(sys.argv) != 2 or not os.environ.get("GITHUB_TOKEN"):
        sys.exit("usage: GITHUB_TOKEN=... python examples/client.py https://github.com/ORG")
    try:
        asyncio.run(main(sys.argv[1], os.environ["GITHUB_TOKEN"]))
    except ScalesetError as error:
        sys.exit(f"error: {error}")
