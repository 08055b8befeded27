"""Control laws for the number of mints in flight, compared on a model of the service."""
