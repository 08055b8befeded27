"""Lets the hooks mint for nested-runner: one function of its loop asks for the whole burst at once."""

import asyncio

from nested_runner import config, controller, errors

from scaleset_hookspecs import JitConfig, ScalesetError, ScaleSetRef
from scaleset_hookspecs.host import SyncHost


def adopt(host: SyncHost) -> None:
    def dispatch_many(ctx: controller.Ctx, count: int) -> int:
        scale_set = ScaleSetRef(name=config.scale_set_name(), id=ctx.scale_set_id)

        def launch(jit: JitConfig) -> None:
            if not controller.dispatch(ctx.home, ctx.repo, controller.encrypt(jit.encoded), ctx.branch):
                raise errors.NestedError("the workflow was not dispatched")  # so the registration is undone
            ctx.fleet.born()
            host.after_runner_launched(scale_set, jit)

        try:
            outcomes = host.provision_runners(scale_set, count, on_ready=lambda jit: asyncio.to_thread(launch, jit))
        except ScalesetError as error:
            raise errors.NestedError(str(error)) from error  # its loop tries again
        return sum(isinstance(outcome, JitConfig) for outcome in outcomes)

    controller._dispatch_many = dispatch_many
