"""What an intents predictor is asked and what it answers: plain JSON, so that the same dict travels any way."""

from typing import TypedDict


class IntentRequest(TypedDict):
    text: str


class IntentScore(TypedDict):
    intent: str
    probability: float


class IntentPrediction(TypedDict):
    """`probability` is that the intent is right, calibrated on texts in scope; `scores` are the best five intents'
    shares, which sum to at most 1. `scope` is the text's score and out_of_scope says that it lies below the threshold.
    """

    intent: str
    probability: float
    scores: list[IntentScore]
    scope: float
    out_of_scope: bool
    language: str
