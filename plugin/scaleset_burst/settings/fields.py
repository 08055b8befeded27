"""The field types of the settings: durations and references to secrets."""

from typing import Annotated

from pydantic import BeforeValidator, SecretStr

__all__ = ["Duration", "Reference"]

Duration = Annotated[float, BeforeValidator(lambda value: value)]
Reference = SecretStr
