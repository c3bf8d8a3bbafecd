"""Reads of intents and examples, and what a message says."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from apps.service import engine
from apps.service.understanding.entities.finding import find_entities
from apps.service.understanding.entities.kinds import Entity
from apps.service.understanding.entities.orders import find_orders
from apps.service.understanding.languages import detect_language
from apps.service.understanding.models import Intent, IntentExample, UnderstandingSettings
from apps.service.understanding.overlap import Overlap
from apps.service.understanding.plain_text import plain_text
from apps.service.understanding.tone import Sentiment, Urgency, sentiment_of, urgency_of
from tenancy.kept import Kept

# What the words of an example must share with a text before its intent is answered without a model.
LEAST_OVERLAP = 0.5
ALTERNATIVES = 5
NEAREST_READ = 20
# Intents change by hand and seldom; examples are read whole, which a busy process does at most so often.
_intents: Kept[Mapping[str, bool]] = Kept(seconds=1.0)
_examples: Kept["Examples"] = Kept(seconds=10.0, most=50)
_order_patterns: Kept[list[str]] = Kept(seconds=1.0)


@dataclass(frozen=True)
class Alternative:
    """`share` is the intent's part of what was thought possible, in [0, 1]; it is not calibrated."""

    intent: str
    share: float


@dataclass(frozen=True)
class Understanding:
    """What a message says.

    `confidence` in [0, 1] is the calibrated probability that `intent` is right, or with `degraded` "examples" the
    likeness to the nearest example, which is no probability. `intent` is None where the message is blank, nothing is
    like it, or its intent was removed; `may_be_sent` says that replies to it may go out without an agent,
    `out_of_scope` that no answer should rest on it. Entities stand in order of place; there are none where they were
    not asked for. `language` is en, zh or other. `degraded` is None where the live model answered, else
    "previous_version", "examples" or "no_intents".
    """

    intent: str | None
    confidence: float
    may_be_sent: bool
    out_of_scope: bool
    alternatives: list[Alternative]
    entities: list[Entity]
    sentiment: Sentiment
    urgency: Urgency
    language: str
    model_version: UUID | None
    degraded: str | None


@dataclass(frozen=True)
class Meant:
    """The part of an understanding that a model, or the examples, answer."""

    intent: str | None
    confidence: float
    out_of_scope: bool
    alternatives: list[Alternative]
    model_version: UUID | None
    degraded: str | None


@dataclass(frozen=True)
class Examples:
    """All examples of a tenant; intent None for those out of scope."""

    overlap: Overlap
    intents: list[str | None]


def intents() -> QuerySet[Intent]:
    """All intents by name, each with its `example_count`."""
    counted = IntentExample.objects.filter(intent=OuterRef("pk")).order_by().values("intent").annotate(n=Count("id"))
    return Intent.objects.annotate(example_count=Coalesce(Subquery(counted.values("n")), 0)).order_by("name")


def examples(*, intent: str | None = None, out_of_scope: bool = False) -> QuerySet[IntentExample]:
    """Newest first; of one intent by its name, or those that no intent covers."""
    found = IntentExample.objects.select_related("intent").order_by("-id")
    if out_of_scope:
        return found.filter(intent=None)
    return found.filter(intent__name=intent) if intent is not None else found


def order_patterns() -> list[str]:
    """As the tenant has set them; none where the usual ones hold."""
    patterns: list[str] = UnderstandingSettings.objects.values_list("order_patterns", flat=True).first() or []
    return patterns


def order_ids_in(text: str) -> list[str]:
    """Ids of orders that a text names, as it writes them, by the patterns as they were at most a second ago."""
    return [order.text for order in find_orders(text, _order_patterns.get("patterns", order_patterns))]


def understand(text: str, *, with_entities: bool = True) -> Understanding:
    """What one message says; it may hold anything and be of any length. Without entities it costs no query."""
    return understand_all([text], with_entities=with_entities)[0]


def understand_all(
    texts: Sequence[str], *, today: date | None = None, with_entities: bool = True
) -> list[Understanding]:
    """As `understand`, for many in a fixed number of queries. `today` is what dates such as 'yesterday' count from."""
    if not texts:
        return []
    plain = [plain_text(text) for text in texts]
    found = _entities(plain, today or timezone.localdate()) if with_entities else [[] for _ in plain]
    known = _intents.get("all", _read_intents)
    return [
        Understanding(
            intent=meant.intent,
            confidence=meant.confidence,
            may_be_sent=known.get(meant.intent or "", False),
            out_of_scope=meant.out_of_scope,
            alternatives=meant.alternatives,
            entities=entities,
            sentiment=sentiment_of(text),
            urgency=urgency_of(text),
            language=detect_language(text),
            model_version=meant.model_version,
            degraded=meant.degraded,
        )
        for text, meant, entities in zip(plain, _meant(plain, known), found, strict=True)
    ]


def entities_of(text: str) -> list[Entity]:
    """Those of one message, where nothing else is to be understood."""
    return _entities([plain_text(text)], timezone.localdate())[0]


def _entities(plain: Sequence[str], today: date) -> list[list[Entity]]:
    return find_entities(plain, today=today, order_patterns=order_patterns())


def _meant(texts: Sequence[str], known: Collection[str]) -> list[Meant]:
    if not known:
        return [Meant(None, 0.0, True, [], None, "no_intents") for _ in texts]
    # Markup has become white space, which says nothing to a model.
    short = [" ".join(text.split()) for text in texts]
    answers = engine.classify(short)
    return [
        _by_model(answer, known) if answer.prediction is not None else _by_examples(text)
        for text, answer in zip(short, answers, strict=True)
    ]


def _by_model(answer: engine.Classified, known: Collection[str]) -> Meant:
    said = answer.prediction
    assert said is not None
    alternatives = [
        Alternative(score["intent"], score["probability"]) for score in said["scores"] if score["intent"] in known
    ]
    if said["intent"] not in known:
        # It was removed after the model had learned it: nothing is known of how sure the next one would be.
        return Meant(None, 0.0, True, alternatives, answer.model_version, answer.degraded)
    return Meant(
        said["intent"],
        said["probability"],
        said["out_of_scope"],
        alternatives[:ALTERNATIVES],
        answer.model_version,
        answer.degraded,
    )


def _by_examples(text: str) -> Meant:
    kept = _examples.get("all", read_examples)
    best: dict[str | None, float] = {}
    for match in kept.overlap.nearest(text, NEAREST_READ):
        best.setdefault(kept.intents[match.row], match.similarity)
    total = sum(best.values())
    alternatives = [Alternative(name, value / total) for name, value in best.items() if name is not None]
    nearest, similarity = next(iter(best.items()), (None, 0.0))
    outside = nearest is None or similarity < LEAST_OVERLAP
    return Meant(nearest, similarity, outside, alternatives[:ALTERNATIVES], None, "examples")


def _read_intents() -> dict[str, bool]:
    """By name whether replies to it may go out without an agent."""
    return dict(Intent.objects.values_list("name", "auto_send"))


def read_examples() -> Examples:
    rows = list(IntentExample.objects.order_by("id").values_list("text", "intent__name"))
    return Examples(Overlap([text for text, _ in rows]), [name for _, name in rows])
