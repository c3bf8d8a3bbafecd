"""Tasks: data, model, loss and metrics under one name each. `TASKS[name].fit(...)` trains one."""

from typing import Any

from ml.tasks.base import FitReport, Task
from ml.tasks.config import NextItemConfig
from ml.tasks.next_item import NextItemTask
from ml.tasks.search_ranking import SearchRankingTask
from ml.tasks.search_ranking_config import SearchRankingConfig
from ml.training.progress import Progress

TASKS: dict[str, Task[Any]] = {"next_item": NextItemTask(), "search_ranking": SearchRankingTask()}
CONFIGURATIONS: dict[str, type[NextItemConfig] | type[SearchRankingConfig]] = {
    "next_item": NextItemConfig,
    "search_ranking": SearchRankingConfig,
}

__all__ = ["CONFIGURATIONS", "TASKS", "FitReport", "Progress", "Task"]
