"""The one exception for what a caller can cause."""


class UserError(ValueError):
    """Something the caller gave cannot be used.

    The message is one line that names the thing, the value given and what is accepted. Command lines print it and
    exit with code 2; notebooks see an ordinary ValueError.
    """


class MissingData(UserError):
    """A data set that is not there and cannot be had; what is there but damaged is a UserError."""


def require(condition: bool, message: str) -> None:
    """Raise UserError(message) unless the condition holds."""
    if not condition:
        raise UserError(message)
