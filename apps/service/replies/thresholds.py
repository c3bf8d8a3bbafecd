"""From what agents made of drafts to the confidence from which replies may be sent by themselves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from apps.service import engine
from apps.service.replies.models import ReplyStatus
from apps.service.replies.selectors import labels
from apps.service.replies.settings import ServiceSettings

MOST_LABELS = 10_000


@dataclass(frozen=True)
class Labels:
    """Confidences of drafts that a threshold could have sent and agents judged, and whether each was right: accepted as
    it was, not edited or rejected."""

    scores: Sequence[float]
    is_right: Sequence[bool]


@dataclass(frozen=True)
class Suggestion:
    """`send_above` is None where no threshold can be given; `reason` says why. `curve` is the risk-coverage curve."""

    labels: int
    right: int
    needed: int
    error_rate: float
    send_above: float | None
    reason: str
    curve: list[dict[str, Any]]


@dataclass(frozen=True)
class Sent:
    """What a threshold would have sent of the judged drafts: their share, and the share of these that was wrong."""

    send_above: float
    coverage: float
    risk: float


def read_labels() -> Labels:
    """Of the newest MOST_LABELS; one query."""
    rows = list(labels(most=MOST_LABELS).values_list("confidence", "status"))
    return Labels([confidence for confidence, _ in rows], [status == ReplyStatus.ACCEPTED for _, status in rows])


def suggest_threshold(settings: ServiceSettings, judged: Labels | None = None) -> Suggestion:
    """The lowest confidence above which at most `settings.error_rate` of the replies would be wrong; the labels are
    read where they are not given."""
    judged = judged or read_labels()
    send_above, needed, reason, curve = engine.send_threshold(
        judged.scores, judged.is_right, error_rate=settings.error_rate
    )
    return Suggestion(
        labels=len(judged.scores),
        right=sum(judged.is_right),
        needed=needed,
        error_rate=settings.error_rate,
        send_above=send_above,
        reason=reason,
        curve=curve,
    )


def sent_above(threshold: float | None, judged: Labels) -> Sent | None:
    """None where nothing would be sent."""
    if threshold is None:
        return None
    covered = [right for score, right in zip(judged.scores, judged.is_right, strict=True) if score >= threshold]
    if not covered:
        return None
    return Sent(threshold, len(covered) / len(judged.scores), 1 - sum(covered) / len(covered))
