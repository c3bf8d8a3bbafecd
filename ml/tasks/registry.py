"""Tasks: data, model, loss and metrics under one name each. `TASKS[name].fit(...)` trains one."""

from typing import Any

from ml.tasks.anomaly import AnomalyTask
from ml.tasks.base import Task
from ml.tasks.click_rate import ClickRateTask
from ml.tasks.click_rate_config import ClickRateConfig, ConversionRateConfig
from ml.tasks.cross_encoder import CrossEncoderTask
from ml.tasks.intents import IntentsTask
from ml.tasks.next_item import NextItemTask
from ml.tasks.replies import RepliesTask
from ml.tasks.risk import RiskTask
from ml.tasks.search_ranking import SearchRankingTask

TASKS: dict[str, Task[Any]] = {
    "next_item": NextItemTask(),
    "search_ranking": SearchRankingTask(),
    "risk": RiskTask(),
    "anomaly": AnomalyTask(),
    "intents": IntentsTask(),
    "replies": RepliesTask(),
    "cross_encoder": CrossEncoderTask(),
    "click_rate": ClickRateTask("click_rate", ClickRateConfig),
    "conversion_rate": ClickRateTask("conversion_rate", ConversionRateConfig),
}
