"""`scaleset-burst mint` as a shell uses it: what comes out, what is left registered, and what a kill leaves."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scaleset_simulator import SimulatorProcess
from tests.e2e.hosting import configuration, run, wait_until_carried_out, write

SCALE_SET = "e2e"
BURST = str(Path(sys.executable).parent / "scaleset-burst")


@pytest.fixture
def simulator() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(scale_set=SCALE_SET, latency="20ms") as process:
        yield process


@pytest.fixture
def config(simulator: SimulatorProcess, tmp_path: Path) -> Path:
    return write(tmp_path, configuration(simulator.config_url), simulator.token)


def registered(simulator: SimulatorProcess) -> set[str]:
    return {runner["name"] for runner in simulator.runners()}


def names(lines: str) -> list[str]:
    """Return the names in whole lines: one without its end is none."""
    return [json.loads(line)["runner_name"] for line in lines[: lines.rfind("\n") + 1].splitlines()]


def test_every_config_is_a_line_and_nothing_else_is_registered(simulator: SimulatorProcess, config: Path) -> None:
    ended = run([BURST, "mint", str(config), SCALE_SET, "300"], folder=config.parent)
    assert (ended.status, ended.err) == (0, "")
    assert len(set(names(ended.out))) == 300
    assert set(names(ended.out)) == registered(simulator)
    assert simulator.counters()["requests"]["mint"] == 300


def test_a_reader_that_leaves_keeps_what_it_has_read_and_the_rest_is_undone(
    simulator: SimulatorProcess, config: Path
) -> None:
    command = f"set -o pipefail; '{BURST}' mint '{config}' {SCALE_SET} 300 | head -5"
    ended = run(["bash", "-c", command], folder=config.parent)
    ended.refused(1, "the reader has gone", "5 of 300 were taken")
    assert len(names(ended.out)) == 5
    assert set(names(ended.out)) == registered(simulator)


def test_a_signal_undoes_what_nobody_has_taken(simulator: SimulatorProcess, config: Path) -> None:
    with subprocess.Popen(
        [BURST, "mint", str(config), SCALE_SET, "300"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        taken = [process.stdout.readline() for _ in range(20)]  # and no more: the pipe is full now
        process.send_signal(signal.SIGTERM)
        rest, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    lines = "".join(taken) + rest
    assert set(names(lines)) == registered(simulator)
    assert len(names(lines)) < 300
    assert f"{len(names(lines))} of 300 were taken" in said


def test_after_a_kill_half_way_the_next_run_leaves_no_ghost(simulator: SimulatorProcess, config: Path) -> None:
    with subprocess.Popen([BURST, "mint", str(config), SCALE_SET, "300"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = "".join(process.stdout.readline() for _ in range(100))
        process.kill()
        rest = process.stdout.read()
    lines += rest
    wait_until_carried_out(simulator)
    assert registered(simulator) > set(names(lines))
    ended = run([BURST, "mint", str(config), SCALE_SET, "10"], folder=config.parent)
    assert ended.status == 0, ended.err
    taken = set(names(lines)) | set(names(ended.out))
    assert taken <= registered(simulator)
    assert len(registered(simulator) - taken) <= 1, "that which was on its way to the reader may be in use"


def test_a_command_takes_each_config_and_one_that_fails_is_undone(simulator: SimulatorProcess, config: Path) -> None:
    script = 'echo "$SCALESET_RUNNER_NAME ${#ACTIONS_RUNNER_INPUT_JITCONFIG} ${SECRET-hidden}"; test ! -e stop'
    mapping = configuration(simulator.config_url)
    mapping["github"]["token"] = {"$env": "SECRET"}
    write(config.parent, mapping, simulator.token)
    command = [BURST, "mint", str(config), SCALE_SET, "10", "-n", "3", "--exec", script]
    environment = {"SECRET": simulator.token}
    well = run(command, folder=config.parent, environment=environment)
    assert (well.status, well.err) == (0, "")
    started = [line.split() for line in well.out.splitlines()]
    assert {name for name, _, _ in started} == registered(simulator)
    assert all(int(length) > 1000 and secret == "hidden" for _, length, secret in started)
    (config.parent / "stop").touch()
    failed = run(command, folder=config.parent, environment=environment)
    failed.refused(1, "the command ended with status 1; its registration is undone", "0 of 10 were taken")
    assert {name for name, _, _ in started} == registered(simulator)


def test_failures_are_lines_on_standard_error(simulator: SimulatorProcess, config: Path) -> None:
    mapping = configuration(simulator.config_url)
    mapping["plugins"]["burst"]["batch"] = {"max_attempts": 1, "hedge": False}
    write(config.parent, mapping, simulator.token)
    simulator.faults(["mint:drop-after:every 4"])
    ended = run([BURST, "mint", str(config), SCALE_SET, "12"], folder=config.parent)
    failed = [line for line in ended.err.splitlines() if line.startswith("failed: unavailable: ")]
    assert (ended.status, len(failed)) == (1, 12 - len(names(ended.out))), ended.err
    assert failed
    assert registered(simulator) == set(names(ended.out))


def test_what_can_never_be_minted_is_said_once(simulator: SimulatorProcess, config: Path) -> None:
    absent = run([BURST, "mint", str(config), "absent", "3"], folder=config.parent)
    absent.refused(1, "error: there is no scale set 'absent'")
    assert absent.out == ""
    write(config.parent, configuration(simulator.config_url, plugin=False), simulator.token)
    run([BURST, "mint", str(config), SCALE_SET, "3"], folder=config.parent).refused(1, "the plugin is switched off")


def test_names_are_read_and_one_that_is_taken_is_a_failure(simulator: SimulatorProcess, config: Path) -> None:
    command = f"printf 'one\\ntwo\\n' | '{BURST}' mint '{config}' {SCALE_SET} 2 --names -"
    ended = run(["bash", "-c", command], folder=config.parent)
    assert (ended.status, sorted(names(ended.out))) == (0, ["one", "two"]), ended.err
    (config.parent / "names").write_text("two\nthree\n")
    taken = run([BURST, "mint", str(config), SCALE_SET, "2", "--names", "names"], folder=config.parent)
    taken.refused(1, "failed: name_taken: another runner is called two")
    assert names(taken.out) == ["three"]
    assert registered(simulator) == {"one", "two", "three"}
    run([BURST, "mint", str(config), SCALE_SET, "3", "--names", "names"], folder=config.parent).refused(
        1, "count is 3, and 2 names are given"
    )


def test_a_full_disk_ends_it_and_leaves_nothing(simulator: SimulatorProcess, config: Path) -> None:
    ended = run(["bash", "-c", f"'{BURST}' mint '{config}' {SCALE_SET} 20 > /dev/full"], folder=config.parent)
    ended.refused(1, "No space left on device", "0 of 20 were taken")
    assert registered(simulator) == set()
