"""What customers' questions have in common, so that a search tells a need from a greeting: learned now and then from
their newest messages, and read by each search."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import structlog
from django.db import connection

from apps.service.conversations.models import Message, Role
from apps.service.engine import Vector, question_sentences
from apps.service.knowledge.indexing import language_of, readable_languages
from apps.service.knowledge.models import SourceLanguage, UsualQuestion
from catalog.text_analysis import analyse, pairs_as_vector
from catalog.vectors import as_text
from serving.text_vectors import encoder_setting, usable_encoder
from tenancy.kept import Kept
from tenancy.tasks import task_scope

log = structlog.get_logger(__name__)

# Fewer messages say nothing of what is usual; more than the newest few hundred say nothing new.
LEAST_QUESTIONS, MOST_QUESTIONS = 50, 500
# Learned anew after so many new ones.
LEAST_NEW = 50
# A term of fewer questions is not usual; and what one customer wrote is kept nowhere else.
LEAST_HAVING = 5
LONGEST_READ = 2_000

COUNT_TERMS = """
    SELECT term, count(*) FROM jsonb_to_recordset(%s::jsonb) AS question(words text, pairs text),
        LATERAL unnest(tsvector_to_array(to_tsvector('english', words) || pairs::tsvector)) AS term
    GROUP BY term HAVING count(*) >= %s"""


@dataclass(frozen=True)
class Usual:
    """`terms` says how many of `questions` have a term; `vector` is None without an encoder."""

    questions: int = 0
    terms: Mapping[str, int] = field(default_factory=dict)
    vector: Vector | None = None

    @cached_property
    def terms_as_json(self) -> str:
        return json.dumps(self.terms)


_kept: Kept[Usual] = Kept(seconds=30.0, most=1_000)


def usual_question() -> Usual:
    """Of the tenant in scope, as it was at most half a minute ago; nothing where too few have asked yet."""
    return _kept.get("usual", _read)


def learn_usual_question() -> int:
    """Learn from the task's tenant's newest messages where enough are new; returns how many were read."""
    with task_scope():
        newest = _new_messages()
    if len(newest) < LEAST_QUESTIONS:
        return 0
    texts = [message.text[:LONGEST_READ] for message in newest]
    vector = _mean_vector(texts)
    with task_scope():
        UsualQuestion.objects.update_or_create(
            defaults={
                "questions": len(texts),
                "terms": _count_terms(texts),
                "encoder": encoder_setting(),
                "vector": None if vector is None else as_text(vector.tolist()),
                "newest": newest[0].id,
            },
        )
    return len(texts)


def _new_messages() -> Sequence[Message]:
    """What the newest conversations began with, the newest first; none where too few have come since the last time."""
    messages = Message.objects.filter(role=Role.CUSTOMER, number=1).order_by("-id").only("id", "text")
    known = UsualQuestion.objects.filter(encoder=encoder_setting()).values_list("newest", flat=True).first()
    if known is not None and len(messages.filter(id__gt=known)[:LEAST_NEW]) < LEAST_NEW:
        return []
    return list(messages[:MOST_QUESTIONS])


def _mean_vector(texts: Sequence[str]) -> Vector | None:
    """Each message counts once, however many sentences it has."""
    readable = [text for text in texts if language_of(text, SourceLanguage.ENGLISH) in readable_languages()]
    if len(readable) < LEAST_QUESTIONS:
        return None
    try:
        encoder = usable_encoder()
    except ValueError as error:
        log.warning("usual_question_not_encoded", reason=str(error))
        return None
    mean: Vector = np.mean([encoder.encode(question_sentences(text)).mean(axis=0) for text in readable], axis=0)
    return mean


def _count_terms(texts: Sequence[str]) -> Mapping[str, int]:
    rows = []
    for analysed in map(analyse, texts):
        rows.append({"words": " ".join(analysed.words), "pairs": pairs_as_vector(analysed.runs)})
    with connection.cursor() as cursor:
        cursor.execute(COUNT_TERMS, [json.dumps(rows), LEAST_HAVING])
        return dict(cursor.fetchall())


def _read() -> Usual:
    kept = UsualQuestion.objects.filter(encoder=encoder_setting()).first()
    if kept is None:
        return Usual()
    vector = None if kept.vector is None else _as_array(kept.vector)
    return Usual(kept.questions, kept.terms, vector)


def _as_array(vector: Any) -> Vector:
    return np.array(json.loads(vector), dtype=np.float32)
