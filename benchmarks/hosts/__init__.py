"""Hosts that others wrote, with their own code and with the hooks."""
