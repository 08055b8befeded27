"""A burst: demand, names, attempts, outcomes."""

from scaleset_burst.minting.gate import BurstGate
from scaleset_burst.minting.lane import Lane
from scaleset_burst.minting.minter import Minter, Service
from scaleset_burst.minting.report import BurstReport, ConfigTiming

__all__ = ["BurstGate", "BurstReport", "ConfigTiming", "Lane", "Minter", "Service"]
