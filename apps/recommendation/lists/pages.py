"""Several lists of one page, for one subject: read once, and no item twice."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.utils import timezone
from uuid_utils.compat import uuid7

from apps.recommendation.lists.asking import Ask, Recommendation
from apps.recommendation.lists.visitors import Visitor
from apps.recommendation.selectors import UnknownScenario
from apps.recommendation.services import recommend
from behavior.subjects import Subject


@dataclass(frozen=True)
class Slot:
    """A place on the page, and the list asked for there: fields of an Ask, or why it could not be read."""

    name: str
    request: dict[str, Any] | Exception


@dataclass(frozen=True)
class SlotAnswer:
    """The slot's list, or what was wrong with its request."""

    name: str
    recommendation: Recommendation | None = None
    error: Exception | None = None


def recommend_page(subject: Subject, slots: Sequence[Slot], *, distinct: bool) -> tuple[UUID, list[SlotAnswer]]:
    """An answer for each slot, in their order, and the id that joins their decisions.

    With `distinct` a slot leaves out what the slots before it show. A slot whose request is wrong costs the others
    nothing. What is read of the subject is read once for all slots.
    """
    page_id = uuid7()
    visitor = Visitor(subject, timezone.now())
    shown: list[str] = []
    answers = []
    for slot in slots:
        if isinstance(slot.request, Exception):
            answers.append(SlotAnswer(slot.name, error=slot.request))
            continue
        ask = Ask(subject=subject, page_id=page_id, **slot.request)
        if distinct:
            ask = replace(ask, exclude=[*ask.exclude, *shown])
        try:
            answer = recommend(ask, visitor)
        except (UnknownScenario, ValidationError) as error:
            answers.append(SlotAnswer(slot.name, error=error))
            continue
        shown += [item["id"] for item in answer.items]
        answers.append(SlotAnswer(slot.name, answer))
    return page_id, answers
