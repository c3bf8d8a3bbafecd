"""Whether a scenario has data enough: each requirement, what there is, what is missing, and the cure in plain words.

Thresholds that others publish are named with their source; the others are ours.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.utils import timezone

from apps.recommendation.log_sample import LogSample, log_sample
from apps.recommendation.scenarios import MODEL, Kind, ScenarioSettings
from apps.recommendation.selectors import TREND_BEFORE
from decisions.models import Scenario
from serving.selectors import current_line
from serving.services import LEAST_EVENTS, LEAST_SUBJECTS

PERSONALIZE = "Amazon Personalize asks for 1,000 interactions and 25 users with two each"
ALGOLIA_RELATED = "Algolia Recommend asks for 10,000 events in 30 days"
ALGOLIA_BASKETS = "Algolia Recommend asks for 1,000 conversions with at least two products"
OURS = "our own threshold"
TRAIN = 'once there are events enough, start a training run: POST /api/v1/training-runs {{"model": "{model}"}}'


class Verdict(StrEnum):
    """`thin` works, and less well than with enough; `insufficient` means that something else stands in."""

    OK = "ok"
    THIN = "thin"
    INSUFFICIENT = "insufficient"


WORST_FIRST = (Verdict.INSUFFICIENT, Verdict.THIN, Verdict.OK)


@dataclass(frozen=True)
class Requirement:
    """`found` of `needed`, in `unit`; shares lie in [0, 1]. `at_least` marks a count that stopped at 50,000 events."""

    code: str
    title: str
    verdict: Verdict
    found: float | None
    needed: float
    unit: str
    source: str
    missing: str | None = None
    cure: str | None = None
    at_least: bool = False


@dataclass(frozen=True)
class Sufficiency:
    scenario: Scenario
    verdict: Verdict
    checked_at: datetime
    requirements: list[Requirement]

    @property
    def missing(self) -> list[Requirement]:
        return [each for each in self.requirements if each.verdict != Verdict.OK]


@dataclass(frozen=True)
class Facts:
    """What the requirements of one scenario are held against."""

    scenario: Scenario
    settings: ScenarioSettings
    sample: LogSample
    now: datetime


def sufficiency(scenario: Scenario) -> Sufficiency:
    """The verdict on a scenario of the tenant in scope: the worst of those on its requirements."""
    settings = ScenarioSettings.from_dict(scenario.settings)
    now = timezone.now()
    facts = Facts(scenario, settings, log_sample(settings), now)
    requirements = [judge(facts) for judge in REQUIREMENTS.get(scenario.kind, EVERY_KIND)]
    verdict = next(each for each in WORST_FIRST if any(one.verdict == each for one in requirements))
    return Sufficiency(scenario, verdict, now, requirements)


def _count(
    facts: Facts, code: str, title: str, found: int, *, least: int, enough: int, unit: str, cure: str, source: str
) -> Requirement:
    verdict = Verdict.INSUFFICIENT if found < least else Verdict.THIN if found < enough else Verdict.OK
    is_ok = verdict == Verdict.OK
    return Requirement(
        code=code,
        title=title,
        verdict=verdict,
        found=found,
        needed=enough,
        unit=unit,
        source=source,
        missing=None if is_ok else f"{enough - found:,} more {unit}",
        cure=None if is_ok else cure,
        at_least=not facts.sample.is_whole_log,
    )


def _share(
    code: str, title: str, part: int, whole: int, *, least: float, enough: float, unit: str, cure: str
) -> Requirement:
    found = part / whole if whole else None
    verdict = Verdict.THIN if found is None or found < enough else Verdict.OK
    if found is not None and found < least:
        verdict = Verdict.INSUFFICIENT
    missing = f"{whole - part:,} of {whole:,} {unit}" if whole else f"no {unit} to look at yet"
    is_ok = verdict == Verdict.OK
    return Requirement(
        code=code,
        title=title,
        verdict=verdict,
        found=found,
        needed=enough,
        unit="share",
        source=OURS,
        missing=None if is_ok else missing,
        cure=None if is_ok else cure,
    )


SEND = "send events with POST /api/v1/events, or import the shop's history"


def _events(facts: Facts) -> Requirement:
    return _count(
        facts,
        "events",
        "Events that name an item",
        facts.sample.events,
        least=1,
        enough=LEAST_EVENTS,
        unit="events",
        cure=SEND,
        source=OURS,
    )


def _training_events(facts: Facts) -> Requirement:
    return _count(
        facts,
        "events",
        "Events that name an item",
        facts.sample.events,
        least=LEAST_EVENTS,
        enough=1_000,
        unit="events",
        cure=SEND,
        source=PERSONALIZE,
    )


def _related_events(facts: Facts) -> Requirement:
    return _count(
        facts,
        "recent_events",
        "Events of the last 30 days",
        facts.sample.recent_events,
        least=LEAST_EVENTS,
        enough=10_000,
        unit="events",
        cure=SEND,
        source=ALGOLIA_RELATED,
    )


def _subjects(facts: Facts) -> Requirement:
    return _count(
        facts,
        "subjects",
        "Subjects with at least two events",
        facts.sample.subjects,
        least=LEAST_SUBJECTS,
        enough=25,
        unit="subjects",
        cure="send the same anonymous_id or user_id with all events of a visitor, so that they form a sequence",
        source=PERSONALIZE,
    )


def _baskets(facts: Facts) -> Requirement:
    return _count(
        facts,
        "baskets",
        "Baskets with at least two products",
        facts.sample.baskets,
        least=100,
        enough=1_000,
        unit="baskets",
        cure="send one purchase event for each product of an order, with the order's session_id",
        source=ALGOLIA_BASKETS,
    )


def _catalogue(facts: Facts) -> Requirement:
    sample = facts.sample
    # Without a catalogue items of the log are shown as they are; with one, items that it lacks are not.
    least = 0.5 if sample.known_items or facts.settings.require_known_items else 0.0
    return _share(
        "catalogue",
        "Items of events that the catalogue knows",
        sample.known_items,
        sample.items,
        least=least,
        enough=0.9,
        unit="items are unknown" if sample.items else "items",
        cure="send the missing items with POST /api/v1/items/batch; items outside the catalogue can not be filtered",
    )


def _personalisation(facts: Facts) -> Requirement:
    return _share(
        "consent",
        "Events that may be used to personalise",
        facts.sample.personalisation,
        facts.sample.read,
        least=0.05,
        enough=0.5,
        unit="events come without consent" if facts.sample.read else "events",
        cure="ask visitors for consent, and send consent.personalisation as they answered",
    )


def _training_consent(facts: Facts) -> Requirement:
    return _share(
        "training_consent",
        "Events that may be used to train",
        facts.sample.training,
        facts.sample.read,
        least=0.05,
        enough=0.5,
        unit="events come without consent" if facts.sample.read else "events",
        cure="ask visitors for consent, and send consent.training as they answered",
    )


def _recency(facts: Facts) -> Requirement:
    last = facts.sample.last
    hours = None if last is None else max(0.0, (facts.now - last) / timedelta(hours=1))
    verdict = Verdict.THIN if hours is None or hours > 24 else Verdict.OK
    if hours is not None and hours > 30 * 24:
        verdict = Verdict.INSUFFICIENT
    is_ok = verdict == Verdict.OK
    told = "there is no event yet" if hours is None else f"the newest event is {hours:,.0f} hours old"
    return Requirement(
        code="recency",
        title="Age of the newest event",
        verdict=verdict,
        found=hours,
        needed=24,
        unit="hours",
        source=OURS,
        missing=None if is_ok else told,
        cure=None if is_ok else "send events as they happen, so that lists follow what visitors do now",
    )


def _history(facts: Facts) -> Requirement:
    first, last = facts.sample.first, facts.sample.last
    days = (last - first).days if first and last else 0
    enough = facts.settings.trend_days * (1 + TREND_BEFORE)
    return _count(
        facts,
        "history",
        "Days from the oldest event to the newest",
        days,
        least=facts.settings.trend_days,
        enough=enough,
        unit="days",
        cure="wait, import the shop's history, or set a smaller trend_days",
        source=f"trend_days is compared with a period {TREND_BEFORE} times as long before it",
    )


def _model(facts: Facts) -> Requirement:
    model = facts.scenario.model or MODEL
    line = current_line(model)
    verdict = Verdict.OK if line.live else Verdict.THIN if line.newest else Verdict.INSUFFICIENT
    missing = "no version has been trained"
    if line.newest:
        missing = "the trained version did not pass the gate; its rules answer alone"
    is_ok = verdict == Verdict.OK
    return Requirement(
        code="model",
        title=f"A trained model is live on the line {model}",
        verdict=verdict,
        found=float(is_ok),
        needed=1,
        unit="versions",
        source="without one, popular items stand in",
        missing=None if is_ok else missing,
        cure=None if is_ok else TRAIN.format(model=model),
    )


def _exposures(facts: Facts) -> Requirement:
    return _count(
        facts,
        "decision_ids",
        "Events that name the decision they follow from",
        facts.sample.exposed,
        least=0,
        enough=100,
        unit="events",
        cure="send the answer's decision_id back with clicks and purchases; KPIs and experiments count those alone",
        source=OURS,
    )


Judge = Callable[[Facts], Requirement]
EVERY_KIND: tuple[Judge, ...] = (_events, _catalogue, _recency, _exposures)
BASKETS: tuple[Judge, ...] = (_baskets, _catalogue, _recency, _exposures)
REQUIREMENTS: dict[str, tuple[Judge, ...]] = {
    Kind.PERSONALISED: (
        *(_training_events, _subjects, _personalisation, _training_consent),
        *(_catalogue, _recency, _model, _exposures),
    ),
    Kind.SIMILAR: (_related_events, _training_consent, _catalogue, _recency, _model, _exposures),
    Kind.TRENDING: (_events, _history, _catalogue, _recency, _exposures),
    "bought_together": BASKETS,
    "also_bought": BASKETS,
}
