"""A decision taken apart, as its console page shows it."""

from typing import Any
from uuid import UUID

from apps.recommendation.engine import ATTRIBUTIONS, FAITHFUL_ATTRIBUTION, MEMBERS
from apps.recommendation.explanations.services import EventWeight, ExplainedItem, ReadEvent, explain_decision
from decisions.models import Decision

ATTRIBUTION_TITLES = {
    "content": "By content",
    "attention": "By attention",
    "integrated_gradients": "By integrated gradients",
}
MEMBER_TITLES = {
    "neural": "Network",
    "rules": "Rules",
    "neighbors": "Neighbours",
    "repeats": "Repeats",
    "popularity": "Popularity",
}
EVENTS_SHOWN = 5


def explanation_context(decision: Decision, attribution: str) -> dict[str, Any]:
    """Context of console/explanation.html; an unknown attribution is read as the most faithful one."""
    if attribution not in ATTRIBUTIONS:
        attribution = FAITHFUL_ATTRIBUTION
    explanation = explain_decision(decision, attribution)
    highest = max((item["replayed_score"] or 0.0 for item in explanation.items), default=0.0)
    events = {event["event_id"]: event for event in explanation.events}
    return {
        "explanation": explanation,
        "attributions": [
            {"name": name, "title": ATTRIBUTION_TITLES[name], "chosen": name == attribution} for name in ATTRIBUTIONS
        ],
        "legend": [{"name": name, "title": MEMBER_TITLES[name]} for name in MEMBERS],
        "explained_items": [_shown_item(item, events, highest) for item in explanation.items],
    }


def _shown_item(item: ExplainedItem, events: dict[UUID, ReadEvent], highest: float) -> dict[str, Any]:
    score = item["replayed_score"] or 0.0
    return {
        **item,
        "length": f"{max(1.0, 100 * score / highest) if highest else 0.0:.1f}",
        "members": [
            {
                **member,
                "title": MEMBER_TITLES[member["name"]],
                "percent": f"{100 * member['share']:.0f}",
                "grow": f"{max(member['share'], 0.0):.4f}",
            }
            for member in item["members"]
        ],
        "events": [_shown_event(each, events[each["event_id"]]) for each in item["events"][:EVENTS_SHOWN]],
        "more": max(0, len(item["events"]) - EVENTS_SHOWN),
    }


def _shown_event(weighed: EventWeight, event: ReadEvent) -> dict[str, Any]:
    weight = weighed["weight"]
    length = 100 * min(1.0, abs(weight))
    return {**event, "percent": f"{100 * weight:.1f}", "length": f"{length:.0f}", "against": weight < 0}
