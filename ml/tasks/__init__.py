"""Tasks: data, model, loss and metrics under one name each. `TASKS[name].fit(...)` trains one."""

from ml.tasks.base import FitReport, Task
from ml.tasks.next_item import NextItemTask
from ml.training.progress import Progress

TASKS: dict[str, Task] = {"next_item": NextItemTask()}

__all__ = ["TASKS", "FitReport", "Progress", "Task"]
