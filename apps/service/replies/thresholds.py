"""From what agents made of drafts to the confidence from which replies may be sent by themselves."""

from dataclasses import dataclass
from typing import Any

from apps.service import engine
from apps.service.replies.models import ReplyStatus
from apps.service.replies.selectors import labels
from apps.service.replies.settings import ServiceSettings

MOST_LABELS = 10_000


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


def suggest_threshold(settings: ServiceSettings) -> Suggestion:
    """The lowest confidence above which at most `settings.error_rate` of the replies would be wrong; one query.

    A draft that an agent accepted as it was is right, one that was edited or rejected is wrong.
    """
    rows = list(labels(most=MOST_LABELS).values_list("confidence", "status"))
    scores = [confidence for confidence, _ in rows]
    right = [status == ReplyStatus.ACCEPTED for _, status in rows]
    send_above, needed, reason, curve = engine.send_threshold(scores, right, error_rate=settings.error_rate)
    return Suggestion(
        labels=len(rows),
        right=sum(right),
        needed=needed,
        error_rate=settings.error_rate,
        send_above=send_above,
        reason=reason,
        curve=curve,
    )
