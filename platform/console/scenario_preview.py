"""A scenario's list for one subject, as it is and as it would be with the settings that are being edited."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import QueryDict

from behavior.subjects import BadSubject, Subject, read_subject
from catalog.models import Item
from catalog.selectors import find_items
from console.scenario_applications import Preview, PreviewedItem, PreviewedList
from console.selectors import newest_subjects
from decisions.models import Scenario
from tenancy.secrets import public_subject_id

COUNT = 8
SUBJECTS_OFFERED = 8
NOBODY = "nobody"
KINDS = {
    NOBODY: "A visitor of whom nothing is known",
    "user_id": "The user with the id",
    "anonymous_id": "The visitor with the id",
}
# No subject's key is all zeros, since keys are hashes.
UNKNOWN_SUBJECT = Subject(bytes(32), None, None)


@dataclass(frozen=True)
class Card:
    """How one item of a list is shown; `move` is the number of places that it stands above its place in the other list
    (below where negative), None where the other list does not have it."""

    rank: int
    item_id: str
    title: str
    price: str
    picture: str
    initials: str
    score: float
    parts: Mapping[str, float]
    reasons: Sequence[str]
    rules: Sequence[str]
    move: int | None


@dataclass(frozen=True)
class Column:
    title: str
    cards: Sequence[Card]
    degraded: str | None
    notice: str | None


def subject_choices() -> list[tuple[str, str]]:
    """Whom a preview can be for: kinds of ids, and the subjects that did something last."""
    active = [
        (f"key:{key.hex()}", f"Active lately: {public_subject_id(key)}") for key in newest_subjects(SUBJECTS_OFFERED)
    ]
    return [*KINDS.items(), *active]


def preview_columns(preview: Preview, stored: Scenario, changed: Scenario, asked: QueryDict) -> list[Column]:
    """The lists of the scenario as it is stored and as it is changed, for the subject and page that the form asks for.

    Raises ValidationError for a subject or page that cannot be one, and where there can be no list.
    """
    subject, page = _subject(asked), _page(asked)
    lists = [preview(each, subject, page, COUNT) for each in (stored, changed)]
    known = find_items({item.item_id for each in lists for item in each.items})
    now, then = lists
    return [_column("Now", now, then, known), _column("With your changes", then, now, known)]


def _subject(asked: QueryDict) -> Subject:
    kind, raw_id = asked.get("preview_kind", NOBODY), asked.get("preview_id", "").strip()
    if kind.startswith("key:"):
        try:
            key = bytes.fromhex(kind.removeprefix("key:"))
        except ValueError:
            raise ValidationError("This subject is not known; choose another one.") from None
        return Subject(key, None, None)
    if kind not in ("user_id", "anonymous_id"):
        return UNKNOWN_SUBJECT
    if not raw_id:
        raise ValidationError("Write the id as your shop knows it.")
    try:
        return read_subject({kind: raw_id})
    except BadSubject as error:
        raise ValidationError(f"The id {error.reasons[0]['message']}.") from error


def _page(asked: QueryDict) -> str:
    given = asked.get("preview_page", "").strip()
    if "\x00" in given or len(given) > 200:
        raise ValidationError("The page cannot be that of an item or a category.")
    return given


def _column(title: str, shown: PreviewedList, other: PreviewedList, known: Mapping[str, Item]) -> Column:
    elsewhere = {item.item_id: rank for rank, item in enumerate(other.items, start=1)}
    cards = []
    for rank, item in enumerate(shown.items, start=1):
        there = elsewhere.get(item.item_id)
        move = None if there is None else there - rank
        cards.append(_card(rank, item, known.get(item.item_id), move))
    return Column(title, cards, shown.degraded, shown.notice)


def _card(rank: int, item: PreviewedItem, known: Item | None, move: int | None) -> Card:
    title = (known and known.title) or item.item_id
    price = "" if known is None or known.price is None else f"{known.price} {known.currency}".strip()
    words = title.split()
    return Card(
        rank=rank,
        item_id=item.item_id,
        title=title,
        price=price,
        picture=_picture(known.image_url if known else ""),
        initials="".join(word[0] for word in words[:2]).upper(),
        score=item.score,
        parts=item.parts,
        reasons=item.reasons,
        rules=item.rules,
        move=move,
    )


def _picture(url: str) -> str:
    """The picture's address where operators allow its host; else none, since the console fetches nothing by itself."""
    parts = urlsplit(url)
    return url if parts.scheme in ("http", "https") and parts.hostname in settings.IMAGE_HOSTS else ""
