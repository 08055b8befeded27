"""The client of the scale set service: every operation as one method."""

import random
from collections.abc import Callable, Collection, Iterable, Sequence
from types import TracebackType
from typing import Self

import httpx

from scaleset_client import decoding, protocol
from scaleset_client import requests as rows
from scaleset_client.adapter import Adapter, address
from scaleset_client.caller import ServiceCaller
from scaleset_client.clock import Clock, SystemClock
from scaleset_client.events import offers
from scaleset_client.failures import is_gone
from scaleset_client.observing import Counters, RequestRecord
from scaleset_client.opening import OnSessionEvent, Opener, SessionOptions
from scaleset_client.operations import Operation
from scaleset_client.options import ConnectionOptions, Credentials, UserAgent
from scaleset_client.retrying import Backoff, Repeater
from scaleset_client.session import MessageSession, send_acquire
from scaleset_client.transport import Transport
from scaleset_client.types import JobAvailable, MintedRunner, MintRequest, Runner, RunnerGroup, ScaleSet
from scaleset_client.urls import parse_config_url
from scaleset_hookspecs.errors import NotFound, ServiceError
from scaleset_hookspecs.types import Label

__all__ = ["ScaleSetClient"]

DEFAULT_GROUP = RunnerGroup(id=1, name="Default", is_default=True)


class ScaleSetClient:
    """A client for one scope (enterprise, organisation or repository).

    It belongs to the event loop it is first used on, and serves any number of callers there at once. Every method
    raises a `ServiceError` of one of its branches, and nothing of httpx.
    """

    def __init__(
        self,
        config_url: str,
        credentials: Credentials,
        *,
        options: ConnectionOptions = ConnectionOptions(),  # noqa: B008  # a frozen value
        clock: Clock | None = None,
        chance: random.Random | None = None,
        backoff: Backoff = Backoff(),  # noqa: B008  # a frozen value
        force_ghes: bool = False,
        user_agent: UserAgent = UserAgent(),  # noqa: B008  # a frozen value
        transport: Transport | httpx.AsyncBaseTransport | None = None,
        poll_transport: Transport | httpx.AsyncBaseTransport | None = None,
        on_request: Callable[[RequestRecord], None] | None = None,
        unreported: Collection[Operation] = (),
    ) -> None:
        """Make a client; nothing is sent before the first call.

        Args:
            config_url: Web URL of the scope, such as `https://github.com/acme`.
            credentials: A token, or a GitHub App's installation.
            options: Limits, time limits, proxy and certificates.
            clock: Where times and waits come from.
            chance: Where jitter comes from.
            backoff: How calls that are safe to repeat are repeated.
            force_ghes: Treat every host as GitHub Enterprise Server (GITHUB_ACTIONS_FORCE_GHES is present).
            user_agent: What the service is told about the caller.
            transport: For short calls, instead of our own; any of httpx's will do. It is closed with the client.
            poll_transport: For message sessions, instead of our own. It is closed with the client.
            on_request: Called after each request, for metrics.
            unreported: Operations that `on_request` is not called after.

        Raises:
            UsageError: The config URL names no scope, the proxy is none, or a file holds no usable certificate or key.
        """
        self._config = parse_config_url(config_url, force_ghes=force_ghes)
        clock = clock or SystemClock()
        repeater = Repeater(clock, chance or random.Random(), backoff)  # noqa: S311  # jitter is no secret
        self._adapter = Adapter(
            options,
            clock,
            transport=transport,
            poll_transport=poll_transport,
            on_request=on_request,
            unreported=unreported,
        )
        self._caller = ServiceCaller(self._config, credentials, self._adapter, repeater, user_agent.header())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End a token renewal under way and close all connections."""
        await self._caller.chain.aclose()
        await self._adapter.aclose()

    @property
    def scope(self) -> str:
        """Host and path of the scope in lower case: one text for all spellings of the same scope."""
        return self._config.scope

    @property
    def counters(self) -> Counters:
        """What was sent so far."""
        return self._adapter.counters

    @property
    def connections_open(self) -> int:
        """Connections for short calls that are open now, as far as the transport can tell."""
        return self._adapter.connections_open

    @property
    def token_renewals(self) -> int:
        """Token chains completed."""
        return self._caller.chain.renewals

    async def connect(self) -> None:
        """Get the tokens ahead of the first call, and find out whether the credentials are good."""
        await self._caller.chain.obtain()

    async def warm(self, count: int) -> int:
        """Open connections to the Actions service until `count` are open; return how many are."""
        connection = await self._caller.chain.obtain()
        return await self._adapter.warm(address(connection.url), count)

    async def get_scale_set_by_name(self, name: str, runner_group_id: int = 1) -> ScaleSet | None:
        """Return the scale set of that name in the group, or `None` if there is none."""
        return await self._caller.call(
            rows.find_scale_set(name, runner_group_id),
            lambda value: protocol.one_named(
                Operation.FIND_SCALE_SET, decoding.scale_sets(value, runner_group_id), name, lambda one: one.name
            ),
        )

    async def list_scale_sets(self, runner_group_id: int | None = None) -> tuple[ScaleSet, ...]:
        """Return the scale sets of one group, or of all."""
        request = rows.list_scale_sets(runner_group_id)
        return await self._caller.call(request, lambda value: decoding.scale_sets(value, runner_group_id))

    async def get_scale_set(self, scale_set_id: int) -> ScaleSet:
        """Return the scale set of that id.

        Raises:
            NotFound: There is none.
        """
        request = rows.get_scale_set(scale_set_id)
        found = await self._caller.call(request, lambda value: decoding.scale_set_of_id(value, scale_set_id))
        if found is None:
            raise NotFound(f"reading a scale set failed: there is none with the id {scale_set_id}", status=200)
        return found

    async def create_scale_set(
        self,
        name: str,
        *,
        runner_group_id: int | None = None,
        labels: Iterable[Label | str] = (),
        disable_update: bool = False,
    ) -> ScaleSet:
        """Create a scale set; without labels it gets one with its own name, without a group the service chooses one.

        Raises:
            Conflict: The group has one of that name.
            UsageError: There is neither a name nor a label, or a label is neither text nor a `Label`.
        """
        request = rows.create_scale_set(name, runner_group_id, labels, disable_update=disable_update)
        return await self._caller.call(
            request, lambda value: decoding.scale_set(value, name=name, runner_group_id=runner_group_id)
        )

    async def update_scale_set(
        self,
        scale_set_id: int,
        *,
        name: str | None = None,
        runner_group_id: int | None = None,
        labels: Iterable[Label | str] | None = None,
        disable_update: bool | None = None,
    ) -> ScaleSet:
        """Change what is given, and nothing else."""
        request = rows.update_scale_set(
            scale_set_id, name=name, runner_group_id=runner_group_id, labels=labels, disable_update=disable_update
        )
        return await self._caller.call(request, lambda value: decoding.scale_set(value, scale_set_id=scale_set_id))

    async def delete_scale_set(self, scale_set_id: int) -> bool:
        """Delete a scale set; return whether it was there.

        Raises:
            NotFound: As for `remove_runner`.
        """
        return await self._removed(rows.delete_scale_set(scale_set_id))

    async def get_runner_group(self, name: str) -> RunnerGroup:
        """Return the runner group of that name; `default` is the group with id 1 and is not looked up.

        Raises:
            NotFound: There is none.
        """
        if name.casefold() == "default":
            return DEFAULT_GROUP
        group = await self._caller.call(
            rows.find_runner_group(name),
            lambda value: protocol.one_named(
                Operation.FIND_RUNNER_GROUP, decoding.runner_groups(value), name, lambda one: one.name
            ),
        )
        if group is None:
            raise NotFound(f"finding a runner group failed: there is none called {name!r}", status=200)
        return group

    async def generate_jit_config(
        self, scale_set_id: int, name: str, work_folder: str = "", *, time_limit: float | None = None
    ) -> MintedRunner:
        """Mint one JIT config, which registers a runner of that name. Never repeated: a mint is not idempotent.

        Args:
            scale_set_id: The scale set the runner will belong to.
            name: The runner's name, unique in the whole scope.
            work_folder: Its work folder; empty is the runner's own choice.
            time_limit: Seconds for the answer, instead of the configured ones.

        Raises:
            Conflict: A runner of that name is registered (`type_name` says `...AgentExistsException`).
            ServiceError: It failed; `maybe_applied` says whether the runner may be registered all the same.
        """
        response = await self._caller.respond(rows.mint(scale_set_id, name, work_folder), time_limit)
        return self._caller.read(Operation.MINT, response, lambda value: decoding.minted(value, name, scale_set_id))

    async def generate_jit_configs(
        self, scale_set_id: int, requests: Sequence[MintRequest], *, time_limit: float | None = None
    ) -> tuple[MintedRunner | ServiceError, ...]:
        """Mint several JIT configs with one request, where the service takes that. Never repeated.

        Returns:
            What became of each, in the order asked for.

        Raises:
            SliceRefused: The service does not take slices; nothing was minted.
            ServiceError: The slice failed as a whole.
        """
        if not requests:
            return ()
        response = await self._caller.respond(rows.mint_slice(scale_set_id, requests), time_limit)
        return protocol.read_slice(
            requests, scale_set_id, response, now=self._caller.clock.time(), secrets=self._caller.chain.secrets
        )

    async def get_runner(self, runner_id: int) -> Runner:
        """Return the runner of that id.

        Raises:
            NotFound: There is none.
        """
        return await self._caller.call(
            rows.get_runner(runner_id), lambda value: decoding.runner_of_id(value, runner_id)
        )

    async def find_runner(self, name: str) -> Runner | None:
        """Return the runner of that name, or `None` if there is none."""
        return await self._caller.call(
            rows.find_runner(name),
            lambda value: protocol.one_named(
                Operation.FIND_RUNNER, decoding.runners(value), name, lambda one: one.name
            ),
        )

    async def list_runners(self) -> tuple[Runner, ...]:
        """Return every runner of the scope."""
        return await self._caller.call(rows.list_runners(), decoding.runners)

    async def remove_runner(self, runner_id: int) -> bool:
        """Remove a runner's registration; return whether it was there, as far as the service says.

        Raises:
            NotFound: Something is missing, but the service did not say that it is the runner.
            Conflict: It has a job (`type_name` says `JobStillRunningException`).
        """
        return await self._removed(rows.remove_runner(runner_id))

    async def acquire_jobs(self, scale_set_id: int, request_ids: Iterable[int], queue_token: str) -> tuple[int, ...]:
        """Acquire offered jobs with a session's queue token; `MessageSession.acquire` keeps the token fresh."""
        wanted, queue_token = tuple(request_ids), rows.whole(queue_token, "the queue token")
        response = await send_acquire(self._caller, scale_set_id, wanted, queue_token)
        return self._caller.read(
            Operation.ACQUIRE_JOBS, response, lambda value: decoding.acquired_ids(value, wanted), (queue_token,)
        )

    async def acquirable_jobs(self, scale_set_id: int) -> tuple[JobAvailable, ...]:
        """Return the jobs on offer, as older clients did; a message session is the better way."""
        request = rows.acquirable_jobs(scale_set_id)
        return await self._caller.call(request, lambda value: () if value is None else offers(value))

    async def open_session(
        self,
        scale_set_id: int,
        owner: str,
        *,
        options: SessionOptions = SessionOptions(),  # noqa: B008  # a frozen value
        on_event: OnSessionEvent | None = None,
    ) -> MessageSession:
        """Open the scale set's one message session, waiting while another one is open (protocol 6.5).

        Args:
            scale_set_id: The scale set.
            owner: Free text, shown to whoever is refused meanwhile.
            options: How long to wait.
            on_event: Hears of conflicts, refreshes and setbacks that the session overcomes by itself.

        Raises:
            Conflict: Another session was open for the whole time allowed.
        """
        opener = Opener(self._caller, scale_set_id, owner, options, on_event)
        return MessageSession(opener, await opener.open())

    async def _removed(self, request: rows.Request) -> bool:
        try:
            await self._caller.call(request, protocol.nothing)
        except NotFound as error:
            if not is_gone(error):
                raise
            return False
        return True
