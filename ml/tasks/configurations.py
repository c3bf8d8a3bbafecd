"""The configuration of each task, by its name; free of torch, so that one can be judged where nothing is trained."""

from ml.tasks.anomaly_config import AnomalyConfig
from ml.tasks.click_rate_config import ClickRateConfig, ConversionRateConfig
from ml.tasks.config import NextItemConfig
from ml.tasks.cross_encoder_config import CrossEncoderConfig
from ml.tasks.intents_config import IntentsConfig
from ml.tasks.replies_config import RepliesConfig
from ml.tasks.risk_config import RiskConfig
from ml.tasks.search_ranking_config import SearchRankingConfig

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
