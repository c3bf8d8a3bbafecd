"""Loading a predictor from an artifact folder."""

import json
from pathlib import Path

from ml.serving.requests import NextItemPrediction, NextItemRequest, Predictor
from ml.serving.rules import RulesPredictor, load_rules

__all__ = [
    "NextItemPrediction",
    "NextItemRequest",
    "Predictor",
    "RulesPredictor",
    "load_predictor",
    "load_rules",
]


def load_predictor(path: Path) -> Predictor:
    """The predictor of an artifact. Raises FileNotFoundError or ValueError where it cannot be read.

    torch is imported here and not above: a process that only ever falls back to rules never pays for it.
    """
    task = json.loads((Path(path) / "config.json").read_text(encoding="utf-8"))["task"]
    if task == "anomaly":
        from ml.serving.anomaly import AnomalyPredictor

        return AnomalyPredictor.load(path)
    if task in ("click_rate", "conversion_rate"):
        from ml.serving.click_rate import ClickRatePredictor

        return ClickRatePredictor.load(path)
    if task == "cross_encoder":
        from ml.serving.cross_encoder import CrossEncoderPredictor

        return CrossEncoderPredictor.load(path)
    if task == "intents":
        from ml.serving.intents import IntentPredictor

        return IntentPredictor.load(path)
    if task == "replies":
        from ml.serving.replies import ReplyPredictor

        return ReplyPredictor.load(path)
    if task == "risk":
        from ml.serving.risk import RiskPredictor

        return RiskPredictor.load(path)
    if task == "search_ranking":
        from ml.serving.search_ranking import SearchRankingPredictor

        return SearchRankingPredictor.load(path)
    from ml.serving.next_item import NextItemPredictor

    return NextItemPredictor.load(path)
