"""The exceptions for everything that a caller can cause, and the check that raises them."""


class UserError(ValueError):
    """Something that the caller gave cannot be used.

    The message is one line that names the thing, the value given and what is accepted. Commands print it and exit with
    code 2; in a notebook it is an ordinary ValueError.
    """


class MissingData(UserError):
    """A data set is missing and cannot be fetched. For a data set that is there but damaged, a UserError is raised."""


def require(condition: bool, message: str) -> None:
    """Raise UserError(message) unless the condition holds."""
    if not condition:
        raise UserError(message)
