"""A scale set's service, machines and host on virtual time, misbehaving in every way they may, around a real fleet."""

import heapq
import itertools
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from scaleset_hookspecs import (
    Answer,
    Certainty,
    FailureReason,
    JobCompleted,
    JobStarted,
    MintFailure,
    RunnerInfo,
    RunnerRef,
    Statistics,
)
from scaleset_hookspecs.host.fleet import (
    Action,
    Adopted,
    BurstEnded,
    Drain,
    End,
    Fact,
    Fleet,
    FleetLimits,
    Launched,
    LookedUp,
    LookUp,
    Lower,
    MachineEnded,
    Mint,
    Removal,
    Remove,
    RemoveAnswered,
    Say,
    Tick,
)

LAG = 30.0
REMEMBERED = 20.0
"""Seconds for which whoever answers look-ups may give the same answer again."""

MOST_LOOK_UPS = 8
"""Look-ups of one runner in 10 s at most: more would be a loop that waits for nothing."""

"""How late the service's events and counters may be."""


@dataclass
class Registration:
    """A runner, as the service has it."""

    name: str
    id: int
    since: float
    online: bool = False
    job: "Job | None" = None


@dataclass
class Job:
    """A job of the scale set."""

    id: str
    state: str = "queued"
    runs: int = 0


@dataclass
class Machine:
    """What a launched runner runs on.

    Attributes:
        watched: Whether the host in charge hears of its end.
    """

    name: str
    since: float
    watched: bool
    alive: bool = True
    hung: bool = False
    online: bool = False
    was_online: bool = False
    job: Job | None = None


@dataclass
class Faults:
    """How often what goes wrong, and how the service of this world answers what nobody knows for sure."""

    mint_refused: float = 0.0
    mint_lost: float = 0.0
    launch_fails: float = 0.0
    never_online: float = 0.0
    dies_at_once: float = 0.0
    hangs: float = 0.0
    outlives: float = 0.0
    event_lost: float = 0.0
    event_twice: float = 0.0
    event_late: float = 0.0
    counters_behind: float = 0.0
    look_up_fails: float = 0.0
    look_up_old: float = 0.0
    remove_fails: float = 0.0


@dataclass
class Traits:
    """What kind of world it is, for good."""

    watched: bool = True
    adopts: bool = True
    lists: float = 1.0
    absent_is_204: bool = False
    says_status: bool = True
    counts_offline: bool = True
    remembers: bool = False
    boot: float = 20.0


@dataclass
class World:
    """Everything outside the fleet, and the host that carries out what it says."""

    seed: int
    limits: FleetLimits
    traits: Traits
    faults: Faults
    now: float = 1000.0
    wrongs: list[str] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    registrations: dict[str, Registration] = field(default_factory=dict)
    machines: dict[str, Machine] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    said: list[Say] = field(default_factory=list)
    minted: int = 0
    draining: bool = False
    down: bool = False
    removed_told: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._ids = itertools.count(1)
        self._shortest = self.limits.start_timeout
        self._life = 0
        self._past: list[tuple[float, Statistics]] = []
        self._desired: list[tuple[float, int]] = [(0.0, 0)]
        self._lost = False
        self._asked = 0
        self._unsent: dict[int, list[bool]] = {}
        self._remembered: dict[str, tuple[float, Answer[RunnerInfo]]] = {}
        self._look_ups: dict[str, deque[float]] = {}
        self._dropped: set[str] = set()
        if self.traits.lists < 1:
            self.traits.counts_offline = True  # nobody could know of a runner that is neither listed nor counted
        self.fleet = Fleet(self.limits)
        self.tell(self.statistics())

    # Time

    def later(self, wait: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (self.now + wait, next(self._order), what))

    def later_for_host(self, wait: float, what: Callable[[], None]) -> None:
        """Do it unless the host has died by then."""
        life = self._life
        self.later(wait, lambda: what() if life == self._life else None)

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while not self.wrongs:
            at = self._heap[0][0] if self._heap else end + 1
            tick = None if self.down else self.fleet.next_at
            if tick is not None and tick <= min(at, end):
                self.now = max(self.now, tick)
                self.tell(Tick())
                if (self.fleet.next_at or self.now + 1) <= self.now:
                    self.wrongs.append(f"another tick is wanted at {self.now}")
            elif at <= end:
                self.now, _, what = heapq.heappop(self._heap)
                what()
            else:
                self.now = end
                return

    def chance(self, rate: float) -> bool:
        return rate > 0 and self.random.random() < rate

    # The service

    def statistics(self) -> Statistics:
        there = self.registrations.values()
        open_jobs = [job for job in self.jobs if job.state != "over"]
        running = sum(job.state == "running" for job in open_jobs)
        waiting = len(open_jobs) - running
        busy = sum(each.job is not None for each in there)
        online = sum(each.online or each.job is not None for each in there)
        truth = Statistics(
            available_jobs=0,
            assigned_jobs=running + min(waiting, max(0, self.limits.max_runners - running)),
            running_jobs=running,
            registered_runners=len(there) if self.traits.counts_offline else online,
            busy_runners=busy,
            idle_runners=online - busy,
        )
        desired = min(self.limits.max_runners, self.limits.min_idle + truth.assigned_jobs)
        self._desired.append((self.now, desired))
        self._past = [(at, old) for at, old in self._past if at >= self.now - LAG] + [(self.now, truth)]
        return truth

    def is_needed(self) -> bool:
        """Whether, for as long as a fleet may look back, there were never more runners than wanted.

        Where the service does not say who is online or registered, or news of a job was lost, nobody can be so sure.
        """
        self.statistics()
        back = self.now - 3 * LAG - 60.0 - 10.0
        before = [desired for at, desired in self._desired if at < back][-1]
        known = [before, *(desired for at, desired in self._desired if at >= back)]
        there = sum(each.online or each.job is not None for each in self.registrations.values())
        there += sum(m.job is not None and m.name not in self.registrations for m in self.machines.values())
        told = self.traits.says_status and self.traits.lists == 1.0 and not self._lost
        return told and there <= min(known)

    def send_counters(self) -> None:
        truth = self.statistics()
        if self.chance(self.faults.counters_behind):
            truth = self.random.choice(self._past)[1]
        self.tell(truth)

    def send_event(self, event: JobStarted | JobCompleted) -> None:
        if self.chance(self.faults.event_lost):
            self._lost = True
            return
        for _ in range(1 + self.chance(self.faults.event_twice)):
            late = self.random.uniform(0.0, LAG * 0.9) if self.chance(self.faults.event_late) else 0.1
            self.later(late, lambda: self.tell(event))
        self.later(0.2, self.send_counters)

    def add_jobs(self, count: int) -> None:
        for _ in range(count):
            self.jobs.append(Job(id=f"j{len(self.jobs)}"))
        self.assign()
        self.send_counters()

    def cancel_job(self) -> None:
        open_jobs = [job for job in self.jobs if job.state != "over"]
        if not open_jobs:
            return
        job = self.random.choice(open_jobs)
        holder = next((machine for machine in self.machines.values() if machine.job is job), None)
        if holder is None:
            job.state = "over"
            self.send_event(JobCompleted(job_id=job.id, result="canceled"))
        else:
            self.finish(holder, job, "canceled")

    def take_back(self) -> None:
        """Take an assignment back: started and cancelled at once, queued again, and the runner still listens."""
        idle = [each for each in self.registrations.values() if each.online and each.job is None]
        waiting = [job for job in self.jobs if job.state == "queued"]
        if idle and waiting:
            each, job = self.random.choice(idle), waiting[0]
            runner = RunnerRef(name=each.name, id=each.id)
            self.send_event(JobStarted(job_id=job.id, runner=runner))
            self.send_event(JobCompleted(job_id=job.id, result="canceled", runner=runner))
            job.id += "'"  # another attempt has another id

    def assign(self) -> None:
        for each in list(self.registrations.values()):
            machine = self.machines.get(each.name)
            if machine is None or not machine.alive or machine.hung or not each.online or each.job is not None:
                continue
            job = next((job for job in self.jobs if job.state == "queued"), None)
            if job is None:
                return
            job.state, each.job, machine.job = "running", job, job
            self.send_event(JobStarted(job_id=job.id, runner=RunnerRef(name=each.name, id=each.id)))
            long = self.random.choice([2.0, 20.0, 100.0])
            if self.chance(self.faults.hangs):
                machine.hung = True
                self.later(600.0, lambda m=machine, j=job: self.finish(m, j, "failed"))  # type: ignore[misc]
            else:
                self.later(long, lambda m=machine, j=job: self.finish(m, j, "succeeded"))  # type: ignore[misc]

    def finish(self, machine: Machine, job: Job, result: str) -> None:
        if job.state == "over":
            return
        job.state = "over"
        job.runs += 1
        each = self.registrations.get(machine.name)
        number = each.id if each is not None else None
        self.send_event(JobCompleted(job_id=job.id, result=result, runner=RunnerRef(name=machine.name, id=number)))
        machine.job = None
        if each is not None:
            each.job = None
            if machine.hung:
                each.online = False
        if machine.hung or not machine.alive:
            return
        if self.chance(self.faults.outlives):
            if self.chance(0.5):  # it listens again; otherwise it hangs about, with its registration or without
                self.assign()
                return
            machine.hung = True
            if each is not None and self.chance(0.5):
                each.online = False
                return
        self.registrations.pop(machine.name, None)
        if not machine.hung:
            self.later(self.random.uniform(0.0, 3.0), lambda: self.machine_ends(machine))

    def drop_registrations(self) -> None:
        """An incident: the service forgets runners; jobs that run go on."""
        for name in list(self.registrations):
            if self.chance(0.9):
                del self.registrations[name]
                self._dropped.add(name)
                machine = self.machines.get(name)
                if machine is not None and machine.job is None:
                    machine.online = False
                    machine.hung = True

    # Machines

    def launch(self, name: str) -> Machine:
        machine = Machine(name=name, since=self.now, watched=self.traits.watched)
        self.machines[name] = machine
        if self.chance(self.faults.dies_at_once):
            self.later(self.random.uniform(0.0, 1.0), lambda: self.machine_ends(machine))
        elif self.chance(self.faults.never_online):
            machine.hung = True
        else:
            self.later(self.random.uniform(0.5, 1.0) * self.traits.boot, lambda: self.comes_online(machine))
        return machine

    def comes_online(self, machine: Machine) -> None:
        each = self.registrations.get(machine.name)
        if machine.alive and not machine.hung and each is not None:
            each.online = machine.online = machine.was_online = True
            self.assign()

    def kill_machine(self) -> None:
        alive = [machine for machine in self.machines.values() if machine.alive]
        if alive:
            self.machine_ends(self.random.choice(alive))

    def machine_ends(self, machine: Machine) -> None:
        if not machine.alive:
            return
        machine.alive = False
        each = self.registrations.get(machine.name)
        if each is not None:
            each.online = False
        if machine.job is not None:
            job = machine.job
            self.later(300.0, lambda: self.finish(machine, job, "failed"))
        if machine.watched:
            number = each.id if each is not None else None
            self.tell(MachineEnded(runner=RunnerRef(name=machine.name, id=number)))

    def alive(self) -> int:
        """Count the machines that a host can know of.

        It sees them, or they are registered and it was told their name; of others that hang, offline, nobody can tell
        that they are more than a registration.
        """
        return sum(
            machine.alive
            and (
                machine.watched
                or (machine.name in self.registrations and (machine.name in self.told or not machine.hung))
            )
            for machine in self.machines.values()
        )

    # The host

    def tell(self, fact: Fact) -> None:
        if self.down:
            return
        actions = self.fleet.on(fact, self.now)
        self.told |= {known.runner.name or "" for known in self.fleet.runners}
        for action in actions:
            self.perform(action)

    def perform(self, action: Action) -> None:
        if isinstance(action, Mint):
            self.mint(action)
        elif isinstance(action, LookUp):
            self.look_up(action.runner)
        elif isinstance(action, Remove):
            self.remove(action.runner)
        elif isinstance(action, End):
            self.end(action.runner)
        elif isinstance(action, Lower):
            for unsent in self._unsent.values():
                for index in range(len(unsent)):
                    unsent[index] = unsent[index] and not self.chance(0.5)
        else:
            self.said.append(action)

    def mint(self, action: Mint) -> None:
        if self.draining:
            self.wrongs.append("mints while draining")
        if self.alive() + self._asked + action.count > self.limits.max_runners:
            there = f"{self.alive()} alive and {self._asked} asked for"
            self.wrongs.append(f"{action.count} mints with {there}: over {self.limits.max_runners}")
        number = next(self._order)
        unsent = self._unsent[number] = [True] * action.count
        self._asked += action.count
        left = [action.count]
        launched = [0]
        failures: list[MintFailure] = []

        def done(failure: FailureReason | None) -> None:
            left[0] -= 1
            if failure is None:
                launched[0] += 1
            else:
                failures.append(MintFailure(reason=failure, message=f"it was {failure}"))
            if not left[0]:
                del self._unsent[number]
                self._asked -= action.count - launched[0]
                self.tell(BurstEnded(asked=action.count, launched=launched[0], failures=tuple(failures)))

        for index in range(action.count):
            self.later_for_host(self.random.uniform(0.1, 3.0), lambda i=index: self.send_mint(unsent, i, done))  # type: ignore[misc]

    def send_mint(self, unsent: list[bool], index: int, done: Callable[[FailureReason | None], None]) -> None:
        if not unsent[index]:
            done(FailureReason.DEMAND_FELL)
            return
        unsent[index] = False
        self.minted += 1
        if self.chance(self.faults.mint_refused):
            done(FailureReason.REJECTED)
            return
        name = f"r{next(self._ids)}"
        self.registrations[name] = Registration(name=name, id=int(name[1:]), since=self.now)
        self._remembered[name] = self.now, self.info(name)  # as a plugin knows of its own mints
        if self.chance(self.faults.mint_lost):
            self.later(100.0, lambda: self.clean_up(name))
            self.later_for_host(2.0, lambda: done(FailureReason.UNAVAILABLE))
            return
        life = self._life

        def arrives() -> None:
            if life != self._life or self.chance(self.faults.launch_fails):
                self.later(100.0, lambda: self.clean_up(name))
                if life == self._life:
                    done(FailureReason.DELIVERY)
                return
            runner = RunnerRef(name=name, id=int(name[1:]))
            self.launch(name)
            self._asked -= 1

            def told() -> None:
                self.tell(Launched(runner=runner, watched=self.traits.watched))
                done(None)

            if self.chance(0.3):
                self.later_for_host(self.random.uniform(0.0, 2.0), told)
            else:
                told()

        self.later(self.random.uniform(0.05, 1.0), arrives)

    def clean_up(self, name: str) -> None:
        """Do what the plugin's reconciler does with a registration whose config nobody has."""
        if name not in self.machines:
            self.registrations.pop(name, None)

    def info(self, name: str) -> Answer[RunnerInfo]:
        each = self.registrations.get(name)
        if each is None:
            return Answer(certainty=Certainty.ABSENT, age=0.0)
        says = self.traits.says_status
        return Answer(
            certainty=Certainty.FRESH,
            age=0.0,
            value=RunnerInfo(
                id=each.id,
                name=name,
                status=("online" if each.online else "offline") if says else None,
                busy=each.job is not None if says else None,
            ),
        )

    def look_up(self, runner: RunnerRef) -> None:
        assert runner.name is not None
        name = runner.name
        whole = self.random.uniform(0.05, 2.0)
        self._count_look_up(name)
        answers: list[Answer[RunnerInfo]] = []
        at, remembered = self._remembered.get(name, (-math.inf, None))
        if remembered is not None and self.traits.remembers and self.now < at + REMEMBERED:
            # A cache answers at once, and the same again for as long as it remembers.
            old = replace(remembered, age=self.now - at)
            self.later_for_host(0.0, lambda: self.tell(LookedUp(runner=runner, answer=old)))
            return
        if self.chance(self.faults.look_up_old):
            answers.append(self.info(name))
        self.later(self.random.uniform(0.0, whole), lambda: answers.append(self.info(name)))
        fails = self.chance(self.faults.look_up_fails)
        unknown: Answer[RunnerInfo] = Answer(certainty=Certainty.UNKNOWN)

        def answered() -> None:
            self._remembered[name] = self.now, answers[0]
            self.tell(LookedUp(runner=runner, answer=unknown if fails else answers[0]))

        self.later_for_host(whole, answered)

    def _count_look_up(self, name: str) -> None:
        times = self._look_ups.setdefault(name, deque(maxlen=MOST_LOOK_UPS))
        if len(times) == MOST_LOOK_UPS and times[0] > self.now - 10.0:
            self.wrongs.append(f"{name} is looked up {MOST_LOOK_UPS + 1} times in 10 s")
        times.append(self.now)

    def remove(self, runner: RunnerRef) -> None:
        assert runner.name is not None
        name = runner.name
        if name in self.removed_told:
            self.wrongs.append(f"{name} is removed again")
        whole = self.random.uniform(0.05, 2.0)
        fails = self.chance(self.faults.remove_fails)
        applied = not fails or self.chance(0.5)
        draining = self.draining
        answers: list[Removal] = []

        def act() -> None:
            each = self.registrations.get(name)
            if each is None:
                answers.append(Removal.REMOVED if self.traits.absent_is_204 else Removal.ABSENT)
            elif each.job is not None:
                answers.append(Removal.HAS_JOB)
            else:
                if applied and each.online and not draining and self.is_needed():
                    self.wrongs.append(f"{name} is removed while it is needed")
                if applied:
                    del self.registrations[name]
                    if draining:
                        self._dropped.add(name)
                answers.append(Removal.REMOVED)

        def answer() -> None:
            removal = Removal.FAILED if fails else answers[0]
            if removal is Removal.REMOVED:
                self.removed_told.add(name)
            self.tell(RemoveAnswered(runner=runner, removal=removal))

        self.later(self.random.uniform(0.0, whole), act)
        self.later_for_host(whole, answer)

    def end(self, runner: RunnerRef) -> None:
        assert runner.name is not None
        machine = self.machines.get(runner.name)

        def act() -> None:
            if machine is None or not machine.alive or not machine.watched:
                self.tell(MachineEnded(runner=runner))  # there is none that this host could end
                return
            if machine.job is not None:
                self.wrongs.append(f"{machine.name} is ended with a job")
            young = self.now < machine.since + self._shortest and not machine.was_online
            if young and not self.draining and machine.name not in self._dropped:
                self.wrongs.append(f"{machine.name} is ended while it boots")
            self.machine_ends(machine)

        self.later_for_host(self.random.uniform(0.0, 3.0), act)

    def set_limits(self, limits: FleetLimits) -> None:
        self.limits = limits
        self._shortest = min(self._shortest, limits.start_timeout)
        self.statistics()
        self.tell(limits)

    def drain(self) -> None:
        self.draining = True
        self.tell(Drain())

    def restart(self, down: float) -> None:
        """Kill the host; start another one after a while."""
        self._life += 1
        self.draining = False
        for machine in self.machines.values():
            machine.watched = False
        self.down = True
        self.advance(down)
        self.down = False
        self._asked = 0
        self._unsent.clear()
        self.told.clear()
        self.removed_told.clear()
        self.fleet = Fleet(self.limits)
        for machine in list(self.machines.values()):
            if self.traits.adopts and self.traits.watched and machine.alive:
                machine.watched = True
                self.tell(Adopted(runner=RunnerRef(name=machine.name), watched=True))
        for each in list(self.registrations.values()):
            if self.chance(self.traits.lists):
                self.tell(Adopted(runner=RunnerRef(name=each.name, id=each.id)))
        self.tell(self.statistics())

    # The end

    def calm(self) -> None:
        """Let everything go well from now on, for long enough."""
        self.faults = Faults()
        if self.draining:
            self.restart(1.0)
        self.set_limits(
            FleetLimits(
                max_runners=max(1, self.limits.max_runners),
                start_timeout=self.limits.start_timeout,
                scale_down_delay=self.limits.scale_down_delay,
                event_lag=self.limits.event_lag,
            )
        )
        waiting = sum(job.state != "over" for job in self.jobs)
        for _ in range(400 + 20 * waiting):  # one runner after another may have to do all of it
            self.advance(20.0)
            self.send_counters()
            if self.wrongs:
                return
        open_jobs = [job.id for job in self.jobs if job.state != "over"]
        left = sorted(name for name in self.registrations if name in self.told)
        if open_jobs:
            self.wrongs.append(f"jobs have not run: {open_jobs}")
        if left:
            self.wrongs.append(f"still registered: {left}")
        if not self.fleet.settled:
            self.wrongs.append(f"the fleet is not settled: {self.fleet.runners}")
