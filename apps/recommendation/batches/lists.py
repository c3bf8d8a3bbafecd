"""The lists of a chunk of subjects, their decisions, and the rows that the client gets."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pyarrow as pa
from django.utils import timezone

from apps.recommendation.batches.reads import GatheredReads, NotRead
from apps.recommendation.batches.services import ask_of
from apps.recommendation.lists.asking import Recommendation
from apps.recommendation.lists.visitors import Visitor
from apps.recommendation.models import Batch
from apps.recommendation.rules.book import published_rules
from apps.recommendation.scenarios import scenario_settings
from apps.recommendation.services import obtain_scenario, preview
from behavior.subjects import RawId, Subject, open_vault
from decisions.services import Served

# user_id holds the raw id of the kind beside it; rank counts from 1; reason is the code of the strongest reason.
COLUMNS = pa.schema(
    [
        ("user_id", pa.string()),
        ("kind", pa.string()),
        ("decision_id", pa.string()),
        ("rank", pa.int32()),
        ("item_id", pa.string()),
        ("score", pa.float64()),
        ("reason", pa.string()),
        ("model_version", pa.string()),
    ]
)


@dataclass
class Made:
    """What a chunk came to. `left_out` are subjects without consent or raw id, `empty` those without a single item."""

    rows: pa.Table
    served: list[Served] = field(default_factory=list)
    left_out: int = 0
    empty: int = 0
    degraded: int = 0
    seconds: float = 0.0

    @property
    def latency_ms(self) -> float:
        """Of one list, in milliseconds."""
        return 1000 * self.seconds / max(len(self.served), 1)


def make_lists(batch: Batch, subject_keys: Sequence[bytes]) -> Made:
    """Lists for those of the subjects who agree to be personalised; reads much and writes nothing."""
    started = time.perf_counter()
    scenario = obtain_scenario(batch.scenario)
    settings = scenario_settings(scenario.kind, scenario.settings, batch.params)
    gathered = GatheredReads(subject_keys, settings, timezone.now())
    raw_ids = open_vault(subject_keys)
    asked = [key for key in subject_keys if key in gathered.agreed and key in raw_ids]
    answers = _answer(batch, asked, gathered)
    listed = {key: answers[key] for key in asked if answers[key].items}
    return Made(
        rows=_rows(listed, raw_ids),
        served=[_served(key, answer) for key, answer in listed.items()],
        left_out=len(subject_keys) - len(asked),
        empty=len(asked) - len(listed),
        degraded=sum(answer.degraded is not None for answer in listed.values()),
        seconds=time.perf_counter() - started,
    )


def _answer(batch: Batch, asked: Sequence[bytes], gathered: GatheredReads) -> dict[bytes, Recommendation]:
    answers: dict[bytes, Recommendation] = {}
    # What a rule says must not change between two tries of the same list.
    book = published_rules()
    waiting = {key: Visitor(Subject(key, None, None), gathered.now, gathered.of(key)) for key in asked}
    while waiting:
        for key, visitor in list(waiting.items()):
            try:
                answers[key] = preview(ask_of(batch, visitor.subject), visitor, book=book)
            except NotRead:
                continue
            gathered.forget(key)
            del waiting[key]
        if waiting:
            gathered.read()
    return answers


def _served(key: bytes, answer: Recommendation) -> Served:
    return Served(
        decision_id=answer.decision_id,
        subject_key=key,
        policy=answer.policy,
        items=answer.items,
        model_version=answer.model_version,
        degraded=answer.degraded,
    )


def _rows(listed: dict[bytes, Recommendation], raw_ids: dict[bytes, RawId]) -> pa.Table:
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS.names}
    for key, answer in listed.items():
        raw, count = raw_ids[key], len(answer.items)
        columns["user_id"] += [raw.value] * count
        columns["kind"] += [raw.kind] * count
        columns["decision_id"] += [str(answer.decision_id)] * count
        columns["model_version"] += [_text(answer.model_version)] * count
        columns["rank"] += [item["rank"] for item in answer.items]
        columns["item_id"] += [item["id"] for item in answer.items]
        columns["score"] += [item["score"] for item in answer.items]
        columns["reason"] += [item["reasons"][0]["code"] if item["reasons"] else None for item in answer.items]
    return pa.table(columns, schema=COLUMNS)


def _text(version: UUID | None) -> str | None:
    return None if version is None else str(version)
