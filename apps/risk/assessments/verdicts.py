"""From a score and the rules that hit to a verdict."""

from collections.abc import Collection
from enum import StrEnum

from apps.risk.assessments.settings import RiskSettings


class Verdict(StrEnum):
    APPROVE = "approve"
    REVIEW = "review"
    DECLINE = "decline"


def decide(score: float, actions: Collection[str], settings: RiskSettings) -> Verdict:
    """The verdict on a transaction; `actions` are those of the rules that hit.

    A rule's decline is final. A rule's review keeps what the score alone would approve. An approving rule turns a
    review into an approval, whether the score or another rule asked for it; what the score declines stays declined.
    """
    if "decline" in actions or score >= settings.decline_above:
        return Verdict.DECLINE
    if "approve" in actions:
        return Verdict.APPROVE
    return Verdict.REVIEW if "review" in actions or score >= settings.review_above else Verdict.APPROVE
