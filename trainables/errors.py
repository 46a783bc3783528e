"""The exceptions for everything that a caller can cause, the check that raises them, and an error in one line."""


class UserError(ValueError):
    """Something that the caller gave cannot be used.

    The message is one line that names the thing, the value given and what is accepted. Commands print it and exit with
    code 2; in a notebook it is an ordinary ValueError.
    """


class MissingData(UserError):
    """A data set is missing and cannot be fetched. For a data set that is there but damaged, a UserError is raised."""


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or the name of its type where it has none."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def require(condition: bool, message: str) -> None:
    """Raise UserError(message) unless the condition holds."""
    if not condition:
        raise UserError(message)
