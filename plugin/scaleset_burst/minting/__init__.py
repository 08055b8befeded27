"""A burst: demand, names, attempts, outcomes."""

from scaleset_burst.minting.minter import Minter, Service
from scaleset_burst.minting.queue import MintQueue
from scaleset_burst.minting.report import BurstReport, ConfigTiming

__all__ = ["BurstReport", "ConfigTiming", "MintQueue", "Minter", "Service"]
