"""What is asked of the application, and what it answers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from behavior.subjects import Subject
from decisions.models import Scenario
from decisions.services import DecidedItem


@dataclass(frozen=True)
class EarlierPages:
    """The pages of a list that were served before: their decisions and their items, in that order."""

    decision_ids: tuple[UUID, ...] = ()
    item_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ask:
    """A request for recommendations. `items` are the seeds of a similar list; `params` replace scenario settings.

    `cursor` asks for the next page of a list, `earlier` are the pages before it; `page_id` joins the slots of one page.
    """

    scenario: str
    subject: Subject
    count: int = 12
    items: Sequence[str] = ()
    exclude: Sequence[str] = ()
    filter: dict[str, Any] | None = None
    params: dict[str, Any] = field(default_factory=dict)
    context: dict[str, Any] = field(default_factory=dict)
    explain: bool | Literal["full"] = True
    cursor: str | None = None
    earlier: EarlierPages = EarlierPages()
    page_id: UUID | None = None


@dataclass(frozen=True)
class Recommendation:
    """A list with all that stood behind it. `notice` says why it is shorter than asked for; `next_cursor` asks for the
    next page and is None at the end of the list."""

    decision_id: UUID
    scenario: Scenario
    model_version: UUID | None
    policy: str
    degraded: str | None
    items: list[DecidedItem]
    notice: str | None
    next_cursor: str | None = None
