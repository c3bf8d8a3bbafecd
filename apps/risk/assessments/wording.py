"""Reasons in words: what the model's probability rests on, as a desk reads it."""

from collections.abc import Mapping, Sequence
from typing import Any

from apps.risk.assessments.points import Reason

MOST_REASONS = 5


def reasons_of_model(
    contributions: Sequence[Mapping[str, Any]], descriptions: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The features that raise the probability most, the strongest first; `part` is what each adds to its log-odds."""
    raising = [each for each in contributions if each["part"] > 0][:MOST_REASONS]
    return [
        {
            "code": each["feature"],
            "text": f"{descriptions.get(each['feature'], each['feature'])}: {_number(each['value'])}",
            "feature": each["feature"],
            "value": each["value"],
            "part": each["part"],
        }
        for each in raising
    ]


def reasons_of_points(reasons: Sequence[Reason]) -> list[dict[str, Any]]:
    return [
        {"code": each.code, "text": each.text, "feature": each.feature, "value": each.value, "part": each.part}
        for each in reasons[:MOST_REASONS]
    ]


def _number(value: float | None) -> str:
    return "not known" if value is None else f"{value:,.4g}"
