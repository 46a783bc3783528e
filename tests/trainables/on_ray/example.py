"""A run with BatchNorm, momentum, decay, growth and SAM, small enough to train in a moment."""

from trainables import Recipe, Task
from trainables.data import Digits
from trainables.decay import CosineDecay
from trainables.gradient import SAM
from trainables.growth import StepGrowth
from trainables.models import SmallCNN
from trainables.optimizers import SGD

TASK = Task(SmallCNN(width=4), Digits(train_samples=320, validation_samples=100), epochs=2)
RECIPE = Recipe(
    optimizer=SGD(momentum=0.9, weight_decay=1e-4),
    decay=CosineDecay(),
    growth=StepGrowth(every_epochs=1),
    gradient=SAM(),
)
