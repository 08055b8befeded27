"""`make hosts`: a published autoscaler that others wrote, with its own code and with the hooks, in its own loop."""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median

from scaleset_simulator import SimulatorProcess

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".cache" / "hosts-venv"
PACKAGE = "nested-runner==0.2.0"
BUILD_SECONDS = 300


def main() -> int:
    """Run the rounds, print both ways and their medians; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hosts", description=__doc__)
    parser.add_argument("--runners", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--latency", action="append", help="may be repeated (default 50ms and 150ms)")
    arguments = parser.parse_args()
    try:
        python = _python()
    except subprocess.CalledProcessError as error:
        print(f"skipped: {PACKAGE} cannot be installed: {error}")
        return 0
    if python is None:
        print(f"skipped: {PACKAGE} needs Python 3.13 or later, and there is none here")
        return 0
    well = True
    for latency in arguments.latency or ["50ms", "150ms"]:
        well &= _compare(python, latency, arguments.runners, arguments.rounds)
    return 0 if well else 1


def _compare(python: Path, latency: str, runners: int, rounds: int) -> bool:
    with SimulatorProcess(latency=latency, poll_seconds=1, tenant_query="", event_keys="any", job_seconds=600) as lab:
        about = {"url": lab.url, "token": lab.token, "runners": runners, "rounds": rounds}
        command = [str(python), "-m", "benchmarks.hosts.rounds", json.dumps(about)]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=600)
    results = [json.loads(line) for line in done.stdout.splitlines()]
    print(f"{PACKAGE}, {runners} runners, an answer takes {latency}:")
    medians = {}
    for way, words in (("own", "its own code"), ("hooks", "with the hooks")):
        each = [result for result in results if result["way"] == way]
        medians[way] = median(result["seconds"] for result in each)
        started = " ".join(str(result["started"]) for result in each)
        shown = " ".join(f"{result['seconds']:.2f}" for result in each)
        print(f"  {words:<15} median {medians[way]:5.2f} s   rounds {shown}   started {started}")
    print(f"  {medians['own'] / medians['hooks']:.1f} times as fast")
    return all(result["started"] == runners for result in results)


def _python() -> Path | None:
    """Return the Python of a venv with the package and ours, made if need be; `None` if no Python is new enough."""
    made = VENV / "bin" / "python"
    stamp = VENV / ".ready"
    if stamp.exists():
        return made
    base = _base_python()
    if base is None:
        return None
    subprocess.run([base, "-m", "venv", str(VENV)], check=True, timeout=BUILD_SECONDS)
    pins = str(ROOT / "constraints" / "all.txt")
    install = [str(made), "-m", "pip", "install", "--quiet", "--constraint", pins, PACKAGE, "--editable", str(ROOT)]
    subprocess.run(install, check=True, timeout=BUILD_SECONDS)
    stamp.touch()
    return made


def _base_python() -> str | None:
    """Return a Python that is new enough: this one, one on the path, or one of pyenv."""
    kept = sorted(Path("~/.pyenv/versions").expanduser().glob("3.1[3-9]*/bin/python3"))
    found = (sys.executable, *map(shutil.which, ("python3.13", "python3.14")), *map(str, kept))
    for each in filter(None, found):
        test = [each, "-c", "import sys; sys.exit(sys.version_info < (3, 13))"]
        if subprocess.run(test, check=False, capture_output=True).returncode == 0:
            return each
    return None


if __name__ == "__main__":
    sys.exit(main())
