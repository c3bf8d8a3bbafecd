"""Tasks: data, model, loss and metrics under one name each. `TASKS[name].fit(...)` trains one."""

from typing import Any

from ml.tasks.anomaly import AnomalyTask
from ml.tasks.anomaly_config import AnomalyConfig
from ml.tasks.base import FitReport, Task
from ml.tasks.click_rate import ClickRateTask
from ml.tasks.click_rate_config import ClickRateConfig, ConversionRateConfig
from ml.tasks.config import NextItemConfig
from ml.tasks.cross_encoder import CrossEncoderTask
from ml.tasks.cross_encoder_config import CrossEncoderConfig
from ml.tasks.intents import IntentsTask
from ml.tasks.intents_config import IntentsConfig
from ml.tasks.next_item import NextItemTask
from ml.tasks.replies import RepliesTask
from ml.tasks.replies_config import RepliesConfig
from ml.tasks.risk import RiskTask
from ml.tasks.risk_config import RiskConfig
from ml.tasks.search_ranking import SearchRankingTask
from ml.tasks.search_ranking_config import SearchRankingConfig
from ml.training.progress import Progress

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
Configuration = (
    NextItemConfig
    | SearchRankingConfig
    | RiskConfig
    | AnomalyConfig
    | IntentsConfig
    | RepliesConfig
    | CrossEncoderConfig
    | ClickRateConfig
)
CONFIGURATIONS: dict[str, type[Configuration]] = {
    "next_item": NextItemConfig,
    "search_ranking": SearchRankingConfig,
    "risk": RiskConfig,
    "anomaly": AnomalyConfig,
    "intents": IntentsConfig,
    "replies": RepliesConfig,
    "cross_encoder": CrossEncoderConfig,
    "click_rate": ClickRateConfig,
    "conversion_rate": ConversionRateConfig,
}

__all__ = ["CONFIGURATIONS", "TASKS", "FitReport", "Progress", "Task"]
