"""The requirements, one judge each: what there is, what is missing, and the cure in plain words.

Thresholds that others publish are named with their source; the others are ours.
"""

from datetime import timedelta

from apps.recommendation.scenarios import MODEL, RANKING_MODEL, Kind
from apps.recommendation.selectors import TREND_BEFORE
from apps.recommendation.sufficiency.requirements import OURS, Facts, Requirement, Verdict, count, share
from serving.selectors import current_line
from serving.services import LEAST_EVENTS, LEAST_LISTS, LEAST_SUBJECTS

PERSONALIZE = "Amazon Personalize asks for 1,000 interactions and 25 users with two each"
ALGOLIA_RELATED = "Algolia Recommend asks for 10,000 events in 30 days"
ALGOLIA_BASKETS = "Algolia Recommend asks for 1,000 conversions with at least two products"
TRAIN = 'once there are events enough, start a training run: POST /api/v1/training-runs {{"model": "{model}"}}'
SEND = "send events with POST /api/v1/events, or import the shop's history"


def events(facts: Facts) -> Requirement:
    return count(
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


def training_events(facts: Facts) -> Requirement:
    return count(
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


def related_events(facts: Facts) -> Requirement:
    return count(
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


def subjects(facts: Facts) -> Requirement:
    return count(
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


def baskets(facts: Facts) -> Requirement:
    return count(
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


def catalogue(facts: Facts) -> Requirement:
    sample = facts.sample
    # Without a catalogue items of the log are shown as they are; with one, items that it lacks are not.
    least = 0.5 if sample.known_items or facts.settings.require_known_items else 0.0
    return share(
        "catalogue",
        "Items of events that the catalogue knows",
        sample.known_items,
        sample.items,
        least=least,
        enough=0.9,
        unit="items are unknown" if sample.items else "items",
        cure="send the missing items with POST /api/v1/items/batch; items outside the catalogue can not be filtered",
    )


def personalisation(facts: Facts) -> Requirement:
    return share(
        "consent",
        "Events that may be used to personalise",
        facts.sample.personalisation,
        facts.sample.read,
        least=0.05,
        enough=0.5,
        unit="events come without consent" if facts.sample.read else "events",
        cure="ask visitors for consent, and send consent.personalisation as they answered",
    )


def training_consent(facts: Facts) -> Requirement:
    return share(
        "training_consent",
        "Events that may be used to train",
        facts.sample.training,
        facts.sample.read,
        least=0.05,
        enough=0.5,
        unit="events come without consent" if facts.sample.read else "events",
        cure="ask visitors for consent, and send consent.training as they answered",
    )


def recency(facts: Facts) -> Requirement:
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


def history(facts: Facts) -> Requirement:
    first, last = facts.sample.first, facts.sample.last
    days = (last - first).days if first and last else 0
    enough = facts.settings.trend_days * (1 + TREND_BEFORE)
    return count(
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


def buyers(facts: Facts) -> Requirement:
    return count(
        facts,
        "buyers",
        "Subjects who bought at least two products",
        facts.sample.buyers,
        least=100,
        enough=1_000,
        unit="subjects",
        cure="send a purchase event for each product bought, with the buyer's user_id, or import earlier orders",
        source=ALGOLIA_BASKETS,
    )


def bought_again(facts: Facts) -> Requirement:
    return count(
        facts,
        "bought_again",
        "Products that one subject bought on two days",
        facts.sample.bought_again,
        least=1,
        enough=100,
        unit="repeated purchases",
        cure="import earlier orders: how soon a product is bought again is learnt from those who did",
        source=OURS,
    )


def viewed(facts: Facts) -> Requirement:
    types = " or ".join(facts.settings.viewed_types) or "viewed_types (none is set)"
    return count(
        facts,
        "viewed",
        "Events that mean a product was viewed",
        facts.sample.viewed,
        least=1,
        enough=LEAST_EVENTS,
        unit="events",
        cure=f"send an event of type {types} whenever a subject opens a product page",
        source=OURS,
    )


def categories(facts: Facts) -> Requirement:
    sample = facts.sample
    return share(
        "categories",
        "Known items of events that have a category",
        sample.categorised,
        sample.known_items,
        least=0.1,
        enough=0.9,
        unit="items have no category" if sample.known_items else "items",
        cure="send the items' categories with POST /api/v1/items/batch",
    )


def titles(facts: Facts) -> Requirement:
    sample = facts.sample
    if not sample.catalogue:
        return count(
            facts,
            "titles",
            "Items of the catalogue",
            0,
            least=1,
            enough=1,
            unit="items",
            cure="send the catalogue with POST /api/v1/items/batch; searches find nothing else",
            source=OURS,
        )
    return share(
        "titles",
        "Items of the catalogue that have a title",
        sample.titled,
        sample.catalogue,
        least=0.5,
        enough=0.9,
        unit="items have no title",
        cure="send the items' titles with POST /api/v1/items/batch; words are looked for there first",
    )


def rankings(facts: Facts) -> Requirement:
    return count(
        facts,
        "rankings",
        "Rankings from which an item was chosen",
        facts.sample.rankings,
        least=LEAST_LISTS,
        enough=LEAST_LISTS,
        unit="rankings",
        cure="send the decision_id of POST /api/v1/rankings with the clicks, carts and purchases that follow",
        source=f"training asks for {LEAST_LISTS}",
    )


def model(facts: Facts) -> Requirement:
    model = facts.scenario.model or (RANKING_MODEL if facts.scenario.kind == Kind.RANKING else MODEL)
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
        source="without one, rules, popular items or the given order stand in",
        missing=None if is_ok else missing,
        cure=None if is_ok else TRAIN.format(model=model),
    )


def exposures(facts: Facts) -> Requirement:
    return count(
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
