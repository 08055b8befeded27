"""The simulated service of one scenario, in a process of its own."""

import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from scaleset_simulator import SimulatorProcess

__all__ = ["Service"]

JOB_SECONDS = 1.0
"""Long enough to catch a runner at work, short enough to wait for its end."""


class Service:
    """A simulator with no scale set of the scenario's name yet.

    Attributes:
        backend: `assign` (jobs are assigned directly) or `offer` (they have to be acquired).
        app: A GitHub App that the simulator accepts.
    """

    def __init__(self, backend: str, **options: object) -> None:
        self.backend = backend
        self._folder = tempfile.TemporaryDirectory(prefix="conformance-")
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.app: dict[str, Any] = {
            "client_id": "Iv1.conformance",
            "installation_id": 7,
            "private_key": private.decode(),
        }
        public = Path(self._folder.name) / "app.pem"
        public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        self._simulator = SimulatorProcess(
            backend=backend,
            scale_set="someone-elses",
            poll_seconds=2,
            job_seconds=JOB_SECONDS,
            app_key=public,
            app_client_id=self.app["client_id"],
            app_installation=self.app["installation_id"],
            **options,
        )

    def __enter__(self) -> Self:
        self._simulator.__enter__()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._simulator.__exit__(None, None, None)
        self._folder.cleanup()

    @property
    def config_url(self) -> str:
        """A config URL that it serves."""
        return self._simulator.config_url

    @property
    def token(self) -> str:
        """The access token that it accepts."""
        return self._simulator.token

    def add_jobs(self, scale_set: str, count: int) -> None:
        """Queue jobs."""
        self._simulator.add_jobs(scale_set, count)

    def start_runner(self, encoded: str) -> None:
        """Bring a runner online with its JIT config."""
        self._simulator.control("POST", "connect", {"jit": encoded})

    def count(self, kind: str) -> int:
        """Return how many requests of a kind came."""
        return int(self._simulator.counters()["requests"].get(kind, 0))
