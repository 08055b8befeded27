"""For tests of hosts and of plugins: a fake that answers from memory, and the suite that every answer must pass."""

from scaleset_hookspecs.host.testing.callers import Caller, open_async, open_sync
from scaleset_hookspecs.host.testing.fake import FakeProvisioner
from scaleset_hookspecs.host.testing.suite import ContractSuite, Subject

__all__ = ["Caller", "ContractSuite", "FakeProvisioner", "Subject", "open_async", "open_sync"]
