"""The next page of a list: a cursor names the decisions of the pages before it, whose items it leaves out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.utils.http import urlsafe_base64_decode, urlsafe_base64_encode

from apps.recommendation.lists.asking import Ask, EarlierPages
from apps.recommendation.scenarios import APPLICATION
from decisions.models import Decision
from decisions.selectors import get_decisions

MOST_PAGES = 20
UUID_BYTES = 16
WRONG = ValidationError({"cursor": "is not a cursor of this scenario's lists; start again without one"})
OTHER_SUBJECT = ValidationError({"cursor": "is of another subject's list; start again without one"})


def write_cursor(decision_ids: Sequence[UUID]) -> str | None:
    """What asks for the page after these; None after the last that a list may have."""
    if len(decision_ids) >= MOST_PAGES:
        return None
    return urlsafe_base64_encode(b"".join(each.bytes for each in decision_ids))


def read_cursor(cursor: str) -> tuple[UUID, ...]:
    """The decisions of the earlier pages, in order. Raises ValidationError."""
    try:
        raw = urlsafe_base64_decode(cursor)
    except ValueError:
        raise WRONG from None
    pages, rest = divmod(len(raw), UUID_BYTES)
    if rest or not 1 <= pages < MOST_PAGES:
        raise WRONG
    return tuple(UUID(bytes=raw[start : start + UUID_BYTES]) for start in range(0, len(raw), UUID_BYTES))


def request_of(ask: Ask) -> dict[str, Any]:
    """What a decision keeps of its request."""
    kept: dict[str, Any] = {"count": ask.count, **_parameters(ask)}
    if ids := ask.earlier.decision_ids:
        kept["page"] = {"number": len(ids) + 1, "first": str(ids[0]), "previous": str(ids[-1])}
    if ask.page_id:
        kept["page_id"] = str(ask.page_id)
    return kept


def resume(ask: Ask) -> Ask:
    """The request with what its cursor says: the parameters of the first page, and the pages that were served.

    One query, or none without a cursor. Raises ValidationError for a cursor that is not one of this subject and
    scenario, and for each parameter that differs from the first page's.
    """
    if ask.cursor is None:
        return ask
    decision_ids = read_cursor(ask.cursor)
    try:
        pages = get_decisions(decision_ids)
    except Decision.DoesNotExist:
        raise WRONG from None
    if any((page.application, page.scenario) != (APPLICATION, ask.scenario) for page in pages):
        raise WRONG
    if any(page.subject_key is None or bytes(page.subject_key) not in ask.subject.keys for page in pages):
        raise OTHER_SUBJECT
    first = pages[0].request
    _refuse_changes(ask, first)
    return replace(
        ask,
        cursor=None,
        **{name: first.get(name) or default for name, default in _parameters(Ask("", ask.subject)).items()},
        earlier=EarlierPages(decision_ids, tuple(item["id"] for page in pages for item in page.items)),
    )


def _parameters(ask: Ask) -> dict[str, Any]:
    """What stays the same on all pages of a list."""
    return {
        "items": list(ask.items),
        "exclude": list(ask.exclude),
        "filter": ask.filter,
        "params": ask.params,
        "context": ask.context,
    }


def _refuse_changes(ask: Ask, first: Mapping[str, Any]) -> None:
    changed = [name for name, given in _parameters(ask).items() if given and given != first.get(name)]
    if changed:
        cure = "differs from the list's first page; leave it out, or start a new list without cursor"
        raise ValidationError(dict.fromkeys(changed, cure))
