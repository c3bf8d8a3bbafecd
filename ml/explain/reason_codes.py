"""Why a transaction's score is what it is: a few reasons in words, from what each feature adds to the score."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ml.explain.reason_words import code_of, words_of

MOST_REASONS = 4


@dataclass(frozen=True)
class ReasonCode:
    """`code` names what is held against the transaction, `text` says it in words.

    feature, value: the feature that speaks most of those that share the code; value is None where it is missing.
    part: what these features add to the score together, in the unit of the contributions, above 0.
    """

    code: str
    text: str
    feature: str
    value: float | None
    part: float

    def to_dict(self) -> dict[str, Any]:
        return vars(self).copy()


def reason_codes(
    features: Mapping[str, float | None], parts: Mapping[str, float], *, limit: int = MOST_REASONS
) -> list[ReasonCode]:
    """At most `limit` reasons, the strongest first, each code once.

    features holds values by name (None, NaN, infinity or no entry: missing), parts what each adds to the score. Only
    what raises the score is a reason, and of that only what can be held against a transaction. Never raises, whatever
    the names and values are.
    """
    strongest: dict[str, tuple[float, str, str, float | None]] = {}
    totals: dict[str, float] = {}
    for feature, given in parts.items():
        part, value = _number(given), _number(features.get(feature))
        if part is None:
            continue
        code = code_of(str(feature), value is None)
        totals[code] = totals.get(code, 0.0) + part
        if part <= strongest.get(code, (0.0,))[0]:
            continue
        text = words_of(str(feature), value)
        if text is not None:
            strongest[code] = (part, text, str(feature), value)
    reasons = [
        ReasonCode(code=code, text=text, feature=feature, value=value, part=totals[code])
        for code, (_, text, feature, value) in strongest.items()
        if totals[code] > 0.0
    ]
    return sorted(reasons, key=lambda reason: (-reason.part, reason.code))[: max(limit, 0)]


def _number(value: Any) -> float | None:
    """The value where it is a finite number."""
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None
