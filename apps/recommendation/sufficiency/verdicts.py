"""Whether a scenario has data enough: what its kind requires, and the verdict."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from apps.recommendation.scenarios import Kind, scenario_settings
from apps.recommendation.sufficiency import judges
from apps.recommendation.sufficiency.log_sample import log_sample
from apps.recommendation.sufficiency.requirements import Facts, Requirement, Verdict
from decisions.models import Scenario

Judge = Callable[[Facts], Requirement]
COMMON: tuple[Judge, ...] = (judges.catalogue, judges.recency, judges.exposures)
LEARNT: tuple[Judge, ...] = (
    judges.training_events,
    judges.subjects,
    judges.personalisation,
    judges.training_consent,
    judges.model,
    *COMMON,
)
REQUIREMENTS: dict[Kind, tuple[Judge, ...]] = {
    Kind.PERSONALISED: LEARNT,
    Kind.SIMILAR: (judges.related_events, judges.training_consent, judges.model, *COMMON),
    Kind.ALSO_BOUGHT: (judges.buyers, judges.training_consent, *COMMON),
    Kind.BOUGHT_TOGETHER: (judges.baskets, judges.training_consent, *COMMON),
    Kind.NEXT_IN_SESSION: LEARNT,
    Kind.CATEGORY: (judges.categories, *LEARNT),
    Kind.POPULAR: (judges.events, *COMMON),
    Kind.TRENDING: (judges.events, judges.history, *COMMON),
    Kind.RECENTLY_VIEWED: (judges.viewed, judges.personalisation, *COMMON),
    Kind.BUY_AGAIN: (judges.bought_again, judges.personalisation, *COMMON),
    Kind.RANKING: (judges.rankings, judges.training_consent, judges.model, *COMMON),
    Kind.SEARCH: (judges.titles, judges.personalisation, judges.model, *COMMON),
}
WORST_FIRST = (Verdict.INSUFFICIENT, Verdict.THIN, Verdict.OK)


@dataclass(frozen=True)
class Sufficiency:
    scenario: Scenario
    verdict: Verdict
    checked_at: datetime
    requirements: list[Requirement]

    @property
    def missing(self) -> list[Requirement]:
        return [each for each in self.requirements if each.verdict != Verdict.OK]


def sufficiency(scenario: Scenario) -> Sufficiency:
    """The verdict on a scenario of the tenant in scope: the worst of those on its requirements."""
    settings = scenario_settings(scenario.kind, scenario.settings)
    now = timezone.now()
    facts = Facts(scenario, settings, log_sample(settings), now)
    requirements = [judge(facts) for judge in REQUIREMENTS[Kind(scenario.kind)]]
    verdict = next(each for each in WORST_FIRST if any(one.verdict == each for one in requirements))
    return Sufficiency(scenario, verdict, now, requirements)
