"""The operator's side: closed to web pages that are open on the same machine, and bounded."""

import http.client
import json

import pytest

from scaleset_simulator import SimulatorError, SimulatorProcess


def browser(simulator: SimulatorProcess, method: str, path: str, **headers: str) -> int:
    """Send what a browser would; return the status."""
    host = simulator.url.partition("//")[2]
    connection = http.client.HTTPConnection(host, timeout=10)
    connection.putrequest(method, path, skip_host=True)
    body = json.dumps({"scale_set": "demo-linux", "count": 1}).encode() if method == "POST" else b""
    sent = {"host": host, "content-type": "text/plain", "content-length": str(len(body))} | headers
    for name, value in sent.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders(body)
    try:
        return connection.getresponse().status
    finally:
        connection.close()


def test_pages_of_other_sites_cannot_drive_it() -> None:
    """A page could queue jobs, set faults and end tokens; after a DNS rebinding it read the answers, too."""
    with SimulatorProcess() as simulator:
        own = simulator.url
        port = own.rsplit(":", 1)[1]
        for method, path in (("POST", "/_sim/jobs"), ("GET", "/_sim/counters"), ("GET", "/")):
            assert browser(simulator, method, path) == 200
            assert browser(simulator, method, path, origin=own, content_type="application/json") == 200
            assert browser(simulator, method, path, origin=own) == (403 if method == "POST" else 200)
            assert browser(simulator, method, path, host=f"localhost:{port}") == 200
            assert browser(simulator, method, path, host=f"[::1]:{port}") == 200
            for origin in ("https://evil.example", "null", f"{own}.evil.example", f"http://localhost:{port}", ""):
                assert browser(simulator, method, path, origin=origin) == 403, origin
            for host in (f"rebind.evil.example:{port}", "evil.localhost", "", "127.0.0.1.evil.example", "0.0.0.0"):
                assert browser(simulator, method, path, host=host) == 403, host
            assert browser(simulator, method, path, sec_fetch_site="cross-site") == 403
            assert browser(simulator, method, path, sec_fetch_site="same-site") == 403
            assert browser(simulator, method, path, sec_fetch_site="none") == (403 if method == "POST" else 200)


@pytest.mark.parametrize("count", [0, -1, 10_001, 20_000_000, 1.5, True, "5", None])
def test_a_count_of_jobs_is_bounded(count: object) -> None:
    """A request for 20,000,000 jobs took 6 GB, and nobody else was answered."""
    with SimulatorProcess() as simulator, pytest.raises(SimulatorError, match="a whole number from 1 to 10000"):
        simulator.control("POST", "jobs", {"scale_set": "demo-linux", "count": count})


def test_open_jobs_and_faults_are_bounded() -> None:
    with SimulatorProcess() as simulator:
        for _ in range(10):
            simulator.add_jobs("demo-linux", 10_000)
        with pytest.raises(SimulatorError, match="over the 100000 there may be"):
            simulator.add_jobs("demo-linux", 1)
        with pytest.raises(SimulatorError, match="at most 100 faults"):
            simulator.faults(["mint:status=500"] * 101)
