"""How one run trains: tasks, recipes and their slots. Only the subpackage on_ray needs Ray."""

from trainables.engine.run import train
from trainables.errors import UserError
from trainables.history import EpochReport, History
from trainables.progress import Progress
from trainables.recipe import Recipe
from trainables.task import Task

__all__ = ["EpochReport", "History", "Progress", "Recipe", "Task", "UserError", "train"]
