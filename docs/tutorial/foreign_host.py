import asyncio
import sys

from scaleset_hookspecs import Answer, Certainty, ScalesetError, ScaleSetRef, ScaleSetSettings, hookimpl
from scaleset_hookspecs.configuration import read_config
from scaleset_hookspecs.host import AsyncHost, create_manager


class OwnAnswers:
    @hookimpl(trylast=True)
    def get_scaleset_settings(self, scale_set: ScaleSetRef) -> Answer[ScaleSetSettings]:
        return Answer(certainty=Certainty.UNKNOWN, reason=f"nobody has looked for {scale_set.name}")


async def main(path: str, count: int) -> None:
    host = AsyncHost(create_manager(read_config(path), defaults=OwnAnswers()))
    await host.started()
    linux = ScaleSetRef(name="demo-linux")
    print("settings:", (await host.get_scaleset_settings(linux)).certainty)
    for outcome in await host.provision_runners(linux, count) if count else ():
        print(outcome)
    await host.stopping()


try:
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
except ScalesetError as error:
    sys.exit(f"error: {error}")
