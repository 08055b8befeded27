"""The concurrency limit and the hedge, measured on models of the service in virtual time."""
