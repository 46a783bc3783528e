"""Reading back a recipe that a study stored as text; nothing of the text is executed."""

import ast
from collections.abc import Callable
from typing import Any

from trainables import Recipe, decay, gradient, growth, optimizers, scaling, warmup
from trainables.recipe import SLOTS

_BUILDERS: dict[str, Callable[..., Any]] = {
    "Recipe": Recipe,
    **{
        name: value
        for module in (decay, gradient, growth, optimizers, scaling, warmup)
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, tuple(SLOTS.values()))
    },
}
"""What a stored recipe may be made of, by name."""


def stored_recipe(text: str) -> Recipe | None:
    """The recipe whose repr this is; None where it has slots of somebody's own, which cannot be known here."""
    try:
        found = _value(ast.parse(text, mode="eval").body)
    except (SyntaxError, TypeError, ValueError, KeyError):
        return None
    return found if isinstance(found, Recipe) else None


def _value(node: ast.expr) -> Any:
    """The value of a constant, or of a call of one of _BUILDERS with keyword arguments."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.args:
        return _BUILDERS[node.func.id](**{str(each.arg): _value(each.value) for each in node.keywords})
    if isinstance(node, ast.Tuple):
        return tuple(map(_value, node.elts))
    return ast.literal_eval(node)
