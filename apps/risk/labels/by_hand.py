"""Labels that an operator gives, one or a file of them."""

from collections.abc import Sequence

from apps.risk.cases.models import Alert
from apps.risk.cases.services import FOUR_EYES
from apps.risk.labels.services import KNOWN_FRAUD, LabelResult, NewLabel, record_labels


def record_by_hand(*, labels: Sequence[NewLabel], source: str, actor: str) -> list[LabelResult]:
    """`record_labels`, except for what would clear a transaction of a severe alert: that takes two, in its case."""
    clearing = [label.transaction_id for label in labels if label.kind not in KNOWN_FRAUD]
    severe = Alert.objects.filter(transaction_id__in=clearing, severity__in=FOUR_EYES)
    cases: dict[str, int] = dict(severe.values_list("transaction_id", "case__number"))
    refused = {
        place: LabelResult(
            label.transaction_id, "invalid", "kind", f"of a severe alert takes two: decide in case {number}"
        )
        for place, label in enumerate(labels)
        if label.kind not in KNOWN_FRAUD and (number := cases.get(label.transaction_id))
    }
    kept = [label for place, label in enumerate(labels) if place not in refused]
    recorded = iter(record_labels(labels=kept, source=source, actor=actor))
    return [refused.get(place) or next(recorded) for place in range(len(labels))]
