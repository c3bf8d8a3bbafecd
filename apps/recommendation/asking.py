"""What is asked of the application, and what it answers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from behavior.subjects import Subject
from decisions.models import Scenario
from decisions.services import DecidedItem


@dataclass(frozen=True)
class Ask:
    """A request for recommendations. `items` are the seeds of a similar list; `params` replace scenario settings."""

    scenario: str
    subject: Subject
    count: int = 12
    items: Sequence[str] = ()
    exclude: Sequence[str] = ()
    filter: dict[str, Any] | None = None
    params: dict[str, Any] = field(default_factory=dict)
    context: dict[str, Any] = field(default_factory=dict)
    explain: bool = True


@dataclass(frozen=True)
class Recommendation:
    """A list with all that stood behind it. `notice` says why it is shorter than asked for."""

    decision_id: UUID
    scenario: Scenario
    model_version: UUID | None
    policy: str
    degraded: str | None
    items: list[DecidedItem]
    notice: str | None
