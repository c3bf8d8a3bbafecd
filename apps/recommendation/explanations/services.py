"""Why a decision's items were served: their scores taken apart, by asking the version that answered once more."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypedDict
from uuid import UUID

from django.core.exceptions import ValidationError

from apps.recommendation import engine, selectors
from apps.recommendation.engine import EventPart, NextItemPrediction
from apps.recommendation.lists.reads import EVENTS_READ
from apps.recommendation.lists.settings import ScenarioSettings
from apps.recommendation.scenarios import APPLICATION, Kind, scenario_settings
from apps.recommendation.selectors import PersonalEvent
from behavior.selectors import recent_events, subjects_of_events
from decisions.models import Decision
from serving.replay import NoReplay, VersionGone

# Scores that come out of another batch differ in the last digits.
SAME_SCORE = 0.001
# Lists that the model ranks after all the events that count.
PREDICTED = (Kind.PERSONALISED, Kind.CATEGORY)
OTHERWISE_PREDICTED = (Kind.NEXT_IN_SESSION, Kind.RANKING, Kind.SEARCH)
# Reasons that speak of another source than the model.
FROM_ELSEWHERE = ("popular", "trending", "newest")


class EventWeight(TypedDict):
    """`weight` is the part of the item's score, as a share of it: below 0 where the event speaks against the item."""

    event_id: UUID
    weight: float


class Member(TypedDict):
    """What one member of the mixture adds. `score` sums to the item's score over the members, `share` to 1."""

    name: str
    score: float
    share: float
    events: list[EventWeight]


class ExplainedItem(TypedDict):
    """`score` is the one that was served, `replayed_score` the one that `members` and `events` take apart; None and
    empty where the item did not come from the model, or the model cannot be asked."""

    id: str
    title: str
    rank: int
    score: float
    replayed_score: float | None
    members: list[Member]
    events: list[EventWeight]
    reasons: list[Any]


class ReadEvent(TypedDict):
    event_id: UUID
    type: str
    item_id: str
    title: str
    occurred_at: Any


@dataclass(frozen=True)
class Explanation:
    """`available` is False where only the stored reasons are left, and `notice` says why, or what differs. `events`
    are those that the model read, oldest first."""

    decision: Decision
    attribution: str
    available: bool
    notice: str | None
    events: list[ReadEvent]
    items: list[ExplainedItem]


def explain_decision(
    decision: Decision, attribution: str = engine.FAITHFUL_ATTRIBUTION, keys: Sequence[bytes] = ()
) -> Explanation:
    """Ask the version that answered once more, about the events that were in the log then.

    `keys` are the subject's where they are known; else they are the decision's and those of the events that it names.
    Raises ValueError for an unknown attribution.
    """
    if attribution not in engine.ATTRIBUTIONS:
        raise ValueError(f"use one of {', '.join(engine.ATTRIBUTIONS)}")
    events: list[PersonalEvent] = []
    prediction: NextItemPrediction | None = None
    notice = _cannot_be_asked(decision)
    if notice is None:
        events = _events_then(decision, keys)
        prediction, notice = _replay(decision, events, attribution)
    titles = selectors.titles({item["id"] for item in decision.items} | {event.item_id for event in events})
    items = _items(decision, prediction, events, titles)
    return Explanation(
        decision=decision,
        attribution=attribution,
        available=prediction is not None,
        notice=notice or _difference(decision, events, items),
        events=[
            ReadEvent(
                event_id=event.event_id,
                type=event.type,
                item_id=event.item_id,
                title=titles.get(event.item_id, ""),
                occurred_at=event.occurred_at,
            )
            for event in events
        ],
        items=items,
    )


def _cannot_be_asked(decision: Decision) -> str | None:
    if decision.application != APPLICATION:
        return "Only lists of recommendations can be taken apart."
    scenario = selectors.scenarios().filter(key=decision.scenario).first()
    if scenario is None:
        return f"The scenario {decision.scenario} is gone, and with it which events counted."
    if scenario.kind in OTHERWISE_PREDICTED:
        return "A list of this kind cannot be taken apart: its reasons are all that is kept of it."
    if scenario.kind not in PREDICTED:
        return "This list was counted and not predicted: its reasons are all that stood behind it."
    if decision.model_version is None or decision.subject_key is None:
        return "No model had a part in this list: its reasons are all that stood behind it."
    return None


def _events_then(decision: Decision, keys: Sequence[bytes]) -> list[PersonalEvent]:
    """What the model read: the subject's events as the log was when the request came."""
    if not keys:
        keys = [bytes(decision.subject_key or b""), *subjects_of_events(_named(decision))]
    asked_at = decision.decided_at - timedelta(milliseconds=decision.latency_ms)
    return selectors.personal_events(recent_events(keys, EVENTS_READ, received_by=asked_at), _settings(decision))


def _settings(decision: Decision) -> ScenarioSettings:
    """The scenario's settings as they are now, with the request's own."""
    scenario = selectors.scenarios().get(key=decision.scenario)
    settings = scenario_settings(scenario.kind, scenario.settings)
    try:
        return settings.changed(decision.request.get("params") or {})
    except ValidationError:
        return settings  # a setting of the request is one no more


def _replay(
    decision: Decision, events: Sequence[PersonalEvent], attribution: str
) -> tuple[NextItemPrediction | None, str | None]:
    """The prediction, or why there is none."""
    if not events:
        return None, (
            "The events behind this list are not in the log of that time: they were erased, are past their retention, "
            "or came later."
        )
    assert decision.model_version is not None
    try:
        prediction = engine.replay(
            decision.model_version,
            events,
            [item["id"] for item in decision.items],
            now=decision.decided_at,
            attribution=attribution,
            by_rules=decision.degraded == "rules",
        )
    except VersionGone:
        return None, "The model version that answered is no longer kept."
    except NoReplay as error:
        return None, f"The model cannot be asked now: {error}. Try again in a moment."
    return prediction, None


def _items(
    decision: Decision, prediction: NextItemPrediction | None, events: Sequence[PersonalEvent], titles: dict[str, str]
) -> list[ExplainedItem]:
    place = {item_id: number for number, item_id in enumerate(prediction["items"])} if prediction else {}
    items = []
    for served in decision.items:
        item = ExplainedItem(
            id=served["id"],
            title=titles.get(served["id"], ""),
            rank=served["rank"],
            score=served["score"],
            replayed_score=None,
            members=[],
            events=[],
            reasons=served["reasons"],
        )
        number = place.get(served["id"])
        parts = prediction["members"][number] if prediction and number is not None else []
        score = sum(part["part"] for part in parts)
        if parts and _from_model(served, score):
            item["replayed_score"] = score
            item["members"] = [
                Member(
                    name=part["name"],
                    score=part["part"],
                    share=_share(part["part"], score),
                    events=_weights(part["events"], events, score),
                )
                for part in parts
            ]
            item["events"] = _weights(_together(part["events"] for part in parts), events, score)
        items.append(item)
    return items


def _from_model(served: dict[str, Any], score: float) -> bool:
    """What filled up a short list has the score of its own source."""
    codes = {reason["code"] for reason in served["reasons"]}
    return not codes & set(FROM_ELSEWHERE) or _same(_source_score(served), score)


def _source_score(served: dict[str, Any]) -> float:
    """What the source gave, before rules and settings multiplied it."""
    return float(served.get("parts", {}).get("source", served["score"]))


def _together(members: Iterable[Sequence[EventPart]]) -> list[EventPart]:
    """The events' parts over all members, the strongest first."""
    total: dict[int, float] = {}
    for parts in members:
        for each in parts:
            total[each["event"]] = total.get(each["event"], 0.0) + each["part"]
    return [EventPart(event=event, part=total[event]) for event in sorted(total, key=lambda event: -abs(total[event]))]


def _weights(parts: Sequence[EventPart], events: Sequence[PersonalEvent], score: float) -> list[EventWeight]:
    return [EventWeight(event_id=events[each["event"]].event_id, weight=_share(each["part"], score)) for each in parts]


def _share(part: float, score: float) -> float:
    return round(part / score, 6) if score else 0.0


def _difference(decision: Decision, events: Sequence[PersonalEvent], items: Sequence[ExplainedItem]) -> str | None:
    """What no longer is as it was."""
    missing = _named(decision) - {event.event_id for event in events}
    if missing:
        return (
            f"{len(missing)} of the events named then are not there any more, or count no longer; the scores are taken "
            "apart as they come out of what is left."
        )
    asked = [item for item in items if item["replayed_score"] is not None]
    given = {item["id"]: _source_score(item) for item in decision.items}
    if all(_same(given[item["id"]], item["replayed_score"] or 0.0) for item in asked):
        return None
    return (
        "The model's scores are not those that it gave then: the scenario's settings or the catalogue have changed "
        "since, or events of the subject are not found any more."
    )


def _same(one: float, other: float) -> bool:
    return abs(one - other) <= SAME_SCORE * max(abs(one), abs(other))


def _named(decision: Decision) -> set[UUID]:
    """Ids of the events that the stored reasons name."""
    reasons = [reason for item in decision.items for reason in item["reasons"]]
    named = [each.get("event_id") for reason in reasons for each in (reason, *reason.get("events", ()))]
    return {UUID(event_id) for event_id in named if event_id}
