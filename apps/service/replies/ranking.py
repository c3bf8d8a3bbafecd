"""Which macro or past reply fits: asked of the model of replies, which reads what the customer did before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from uuid import UUID

from django.utils.timesince import timesince

from apps.service import engine
from apps.service.conversations.events import OWN_TYPES
from apps.service.replies.evidence import Evidence, usual_templates
from behavior.selectors import RecentEvent, recent_events

MODEL, WORDS = "model", "words"
MESSAGES_READ = 3
EVENTS_READ = 50
# An event is named as a reason from this share of the attention on; so many at most.
TELLING, MOST_REASONS = 0.25, 2


@dataclass(frozen=True)
class Ranking:
    """What a model of replies says. `templates` are all that it was offered; `probabilities` has by source how likely
    each is the right one, 0 to 1, and is empty where no model was asked or none answered: then words choose.
    `familiar` is how like the message is to those that the model was trained on, 0 to 1.

    `variant` says who was to choose: "model", "words" for customers of the control group, nothing without a model.
    """

    templates: Sequence[Evidence]
    probabilities: Mapping[str, float] = field(default_factory=dict)
    familiar: float = 0.0
    because: Sequence[dict[str, Any]] = ()
    model_version: UUID | None = None
    degraded: str | None = None
    variant: str = ""

    def fit(self, source: str, by_words: float) -> float:
        """How well a template fits, 0 to 1: what the model says, and where it knows little of such messages, words."""
        return self.probabilities.get(source, 0.0) + (1.0 - self.familiar) * by_words

    @property
    def left(self) -> float:
        """How probable it is that no template is right, as far as the model can tell; 1 without one."""
        return 1.0 - max(self.probabilities.values(), default=0.0)

    def notes(self) -> dict[str, Any]:
        """For the decision."""
        if not self.variant:
            return {}
        said = {"variant": self.variant, "degraded": self.degraded, "offered": len(self.templates)}
        by_model = {"model_version": str(self.model_version) if self.model_version else None, "familiar": self.familiar}
        return {"ranking": said | by_model}


def rank_templates(
    texts: Sequence[str],
    keys: Sequence[bytes],
    found: Sequence[Evidence],
    *,
    language: str | None,
    control_share: float = 0.0,
) -> Ranking:
    """Ask the model about the templates that the search has found and those that agents usually give.

    `texts` are the customer's last messages, the newest first; `keys` those of the customer. Without a model this costs
    no query and no time.
    """
    if not engine.may_rank_replies():
        return Ranking(found)
    if is_control(keys, control_share):
        return Ranking(found, variant=WORDS)
    searched = {each.source for each in found}
    usual = [each for each in usual_templates(language) if each.source not in searched]
    offered = [*found, *usual][: engine.MOST_CANDIDATES]
    if not offered:
        return Ranking(found)
    done = [each for each in recent_events(keys, EVENTS_READ) if _is_read(each)] if keys else []
    ranked = engine.rank_replies(
        list(reversed(texts[:MESSAGES_READ])), done, [(each.source, each.text) for each in offered]
    )
    if ranked.prediction is None:
        return Ranking(found, degraded=ranked.degraded, variant=WORDS)
    return Ranking(
        templates=offered,
        probabilities={each["id"]: each["probability"] for each in ranked.prediction["replies"]},
        familiar=ranked.prediction["familiar"],
        because=_reasons(done, ranked.prediction["attention"]),
        model_version=ranked.model_version,
        degraded=ranked.degraded,
        variant=MODEL,
    )


def is_control(keys: Sequence[bytes], share: float) -> bool:
    """Whether a customer belongs to those for whom no model chooses; always the same ones, and nobody unknown."""
    if not keys or not share:
        return False
    return int.from_bytes(sha256(b"replies control" + keys[0]).digest()[:4]) < share * 2**32


def _is_read(event: RecentEvent) -> bool:
    return event.personalisation_consent and event.type not in OWN_TYPES


def _reasons(events: Sequence[RecentEvent], attention: Sequence[float]) -> list[dict[str, Any]]:
    telling = sorted(zip(attention, events, strict=True), key=lambda pair: -pair[0])[:MOST_REASONS]
    return [
        {"code": "customer_event", "text": f"because of {event.type} {_age(event)} ago"}
        for weight, event in telling
        if weight >= TELLING
    ]


def _age(event: RecentEvent) -> str:
    # What it gives holds spaces that do not break.
    return timesince(event.occurred_at, depth=1).replace("\xa0", " ")
