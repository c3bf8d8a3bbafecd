"""A request for ads, and what it says of the moment in the words of targeting."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from apps.ads.audiences.selectors import audiences_of_subject
from apps.ads.campaigns.targeting import ATTRIBUTE, normal
from apps.ads.tracking.traffic import device_of
from behavior.models import Consent
from behavior.subjects import Subject

# Names of the context's fields to the dimensions of targeting.
ONE_VALUE = {"country": "countries", "region": "regions", "language": "languages"}


@dataclass(frozen=True)
class Ask:
    """`placements` are keys. `subject` is None where nobody is named or consent is missing, and then nothing personal
    counts: neither segments nor attributes nor audiences, which are the subject's by the keys of `Audience`."""

    placements: Sequence[str]
    subject: Subject | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    keywords: Sequence[str] = ()
    user_agent: str = ""
    has_consent: bool = False
    may_train: bool = False
    audiences: Sequence[str] = ()

    @property
    def consent(self) -> int:
        """Purposes that the subject agreed to, as bits of `Consent`."""
        return self.has_consent * Consent.PERSONALISATION | self.may_train * Consent.TRAINING

    @property
    def country(self) -> str:
        return normal(self.context.get("country", ""))

    @cached_property
    def device(self) -> str:
        return self.context.get("device") or device_of(self.user_agent)

    @cached_property
    def facts(self) -> dict[str, list[str]]:
        """Values by dimension of targeting, normalised."""
        context = self.context
        found = {ours: [normal(context[name])] for name, ours in ONE_VALUE.items() if context.get(name)}
        found["categories"] = [normal(each) for each in context.get("categories", ())]
        found["keywords"] = [normal(each) for each in self.keywords]
        found["devices"] = [self.device]
        if self.has_consent:
            found["segments"] = [normal(each) for each in context.get("segments", ())]
            found["audiences"] = list(self.audiences)
            found |= {
                ATTRIBUTE + normal(name): [normal(str(value))] for name, value in context.get("attributes", {}).items()
            }
        return found


@dataclass(frozen=True)
class NoFill:
    """Why a placement stays empty; `lost` counts ads by reason."""

    reason: str
    lost: Mapping[str, int]


def with_audiences(ask: Ask) -> Ask:
    """The same, with the audiences that the subject belongs to; one read."""
    return ask if ask.subject is None else replace(ask, audiences=audiences_of_subject(ask.subject.keys))
