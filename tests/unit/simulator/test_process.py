"""The program: how it starts, what it says, how it ends, and what its operator can do."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scaleset_simulator import SimulatorError, SimulatorProcess, run
from tests.unit.simulator.wire import SETS, Wire


def ended(pid: int) -> bool:
    """Return whether a process, none of ours, has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


class TestStart:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--fault", "mint:explode"], "unknown action 'explode'"),
            (["--latency", "fast"], "'fast' is no duration"),
            (["--backend", "other"], "invalid choice"),
            (["--no-such-option"], "unrecognized arguments"),
            (["--app-key", "/nowhere"], "error: "),
            (["--app-key", __file__], "expected a key in PEM form"),
            (["--app-key", sys.executable], "expected a key in PEM form"),
            (["--host", "0.0.0.0"], "listens on loopback only"),
            (["--host", "127.example"], "listens on loopback only"),
            (["--scale-set", ""], "needs a name"),
            (["--scale-set", "a", "--scale-set", "A"], "already exists"),
            (["--tls-cert", __file__], "is no PEM"),
            (["--tls-cert", "/nowhere"], "no such file: /nowhere"),
            (["--tls-key", __file__], "need --tls-cert"),
            (["--speed", "0"], "over 0"),
            (["--jitter", "nan"], "from 0 to 1"),
            (["--capacity", "-1"], "from 0"),
            (["--port", "65536"], "from 0 to 65535"),
            (["--port", "-1"], "from 0 to 65535"),
        ],
    )
    def test_a_wrong_option_is_named_and_ends_with_2(
        self, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(arguments) == 2
        printed = capsys.readouterr()
        assert said in printed.err
        assert "Traceback" not in printed.err
        assert printed.out == ""

    def test_a_port_in_use_is_one_line_and_ends_with_1(self, capsys: pytest.CaptureFixture[str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = str(listener.getsockname()[1])
            assert run(["--port", port]) == 1
            printed = capsys.readouterr().err
            assert printed.count("\n") == 1
            assert f"127.0.0.1:{port}" in printed
            with pytest.raises(SimulatorError, match="did not start: error: cannot listen"):
                SimulatorProcess("--port", port).__enter__()

    def test_it_says_where_it_is_in_one_line(self) -> None:
        command = [sys.executable, "-m", "scaleset_simulator", "--port", "0", "--parent", str(os.getpid())]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            about = json.loads(process.stdout.readline())
            process.terminate()
            process.wait(10)
        assert about["ready"] is True
        assert about["config_url"] == f"{about['url']}/acme"
        assert (about["token"], about["pid"]) == ("simulator-token", process.pid)

    @pytest.mark.parametrize(("host", "shown"), [("127.0.0.2", "127.0.0.2"), ("localhost", "127.0.0.1")])
    def test_it_says_the_address_it_listens_on(self, host: str, shown: str) -> None:
        with SimulatorProcess("--host", host) as simulator:
            assert simulator.url.startswith(f"http://{shown}:")
            assert simulator.control("GET", "health") == {"ready": True}

    def test_options_by_name_and_as_arguments(self) -> None:
        with SimulatorProcess("--token", "other", scale_set=["a", "b:group"]) as simulator:
            assert simulator.token == "other"
            found = Wire(simulator).log_in().send("GET", SETS).value["value"]
            assert [(one["name"], one["runnerGroupName"]) for one in found] == [("a", "Default"), ("b", "group")]


class TestEnd:
    def test_it_ends_with_its_context(self) -> None:
        with SimulatorProcess() as simulator:
            pid = simulator.pid
            assert not ended(pid)
        assert ended(pid)

    def test_it_ends_when_the_process_it_was_started_for_is_gone(self) -> None:
        parent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        command = [sys.executable, "-m", "scaleset_simulator", "--port", "0", "--parent", str(parent.pid)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None
            assert b"ready" in process.stdout.readline()
            assert process.poll() is None
            parent.kill()
            parent.communicate()
            process.wait(20)

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_ends_it_with_0_from_the_moment_it_is_ready(self, number: signal.Signals) -> None:
        command = [sys.executable, "-m", "scaleset_simulator", "--port", "0", "--parent", str(os.getpid())]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.readline()
            process.send_signal(number)
            assert process.wait(10) == 0
            assert "Traceback" not in process.stderr.read()


@pytest.fixture(scope="module")
def shared() -> Iterator[SimulatorProcess]:
    with SimulatorProcess("--fault", "find_runner:bom:1%") as simulator:
        yield simulator


class TestControl:
    def test_it_is_healthy(self, shared: SimulatorProcess) -> None:
        assert shared.control("GET", "health") == {"ready": True}
        assert shared.control("GET", "/_sim/health") == {"ready": True}, "as the page on it writes the path"

    def test_counters_count_from_the_reset(self, shared: SimulatorProcess) -> None:
        wire = Wire(shared).log_in()
        shared.reset_counters()
        wire.send("GET", SETS)
        wire.send("GET", f"{SETS}/999999")
        counted = shared.counters()
        assert counted["requests"] == {"scale_sets": 1, "scale_set": 1}
        assert counted["statuses"] == {"200": 1, "404": 1}
        # The operator's own connections are counted, too.
        assert counted["connections"] >= 2

    def test_runners_are_listed_with_when_they_were_registered(self, shared: SimulatorProcess) -> None:
        Wire(shared).log_in().mint("listed")
        (one,) = [each for each in shared.runners() if each["name"] == "listed"]
        assert (one["status"], one["busy"]) == ("offline", False)
        assert one["registered_at"] > 0

    def test_jobs_for_an_unknown_scale_set_are_refused(self, shared: SimulatorProcess) -> None:
        with pytest.raises(SimulatorError, match="no scale set 'nowhere'"):
            shared.add_jobs("nowhere", 1)

    def test_a_setting_that_cannot_be_changed_is_named(self, shared: SimulatorProcess) -> None:
        with pytest.raises(SimulatorError, match="job_seconds cannot be changed; can be: latency"):
            shared.configure(job_seconds=3)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("latency", -1),
            ("latency", float("nan")),
            ("capacity", 1.5),
            ("capacity", True),
            ("overload", 5),
            ("overload", "explode"),
            ("slices", 1),
        ],
    )
    def test_a_setting_that_makes_no_sense_changes_nothing(
        self, shared: SimulatorProcess, name: str, value: object
    ) -> None:
        with pytest.raises(SimulatorError, match=f"{name}.*; expected "):
            shared.configure(jitter=0.25, **{name: value})
        assert shared.control("POST", "settings", {})["jitter"] == 0.0

    def test_an_unknown_control_is_named(self, shared: SimulatorProcess) -> None:
        with pytest.raises(SimulatorError, match="no such control: GET /_sim/nothing"):
            shared.control("GET", "nothing")

    def test_a_scale_set_that_is_made_again_has_another_id(self, shared: SimulatorProcess) -> None:
        wire = Wire(shared).log_in()
        before = wire.scale_set()
        assert shared.recreate("demo-linux") == wire.scale_set() != before

    def test_ended_tokens_are_refused(self, shared: SimulatorProcess) -> None:
        wire = Wire(shared).log_in()
        shared.expire_tokens()
        assert wire.send("GET", SETS).status == 401

    def test_the_page_shows_everything_and_needs_nothing_from_elsewhere(self, shared: SimulatorProcess) -> None:
        wire = Wire(shared).log_in()
        wire.send("POST", SETS, {"name": "<b>bold</b>", "runnerGroupId": 1})
        page = wire.send("GET", "/")
        text = page.body.decode()
        assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert "&lt;b&gt;bold" in text
        assert "<b>bold" not in text
        assert all(word in text for word in ("Scale sets", "Counters", "Faults", "Runners", "http-equiv=refresh"))
        assert page.headers["content-security-policy"].startswith("default-src 'none'; script-src 'sha256-")
        assert "src=" not in text
        assert text.count("href=") == text.count('href="data:,"') == 1
