"""How one run trains: tasks, recipes and their slots, in PyTorch alone."""

from trainables.errors import UserError
from trainables.metrics import EpochMetrics, History
from trainables.progress import Progress
from trainables.recipe import Recipe, Task
from trainables.training import train

__all__ = ["EpochMetrics", "History", "Progress", "Recipe", "Task", "UserError", "train"]
