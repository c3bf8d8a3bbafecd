"""The desk's settings in the console: fields with words, and the risk-coverage curve that thresholds follow from."""

from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.utils import timezone

from apps.service.replies.picture import picture_of
from apps.service.replies.selectors import sendable_since
from apps.service.replies.settings import APPLICATION, ServiceSettings, check_settings
from apps.service.replies.thresholds import Sent, read_labels, sent_above, suggest_threshold
from console.figures import percent
from console.scenario_applications import ScenarioApplication, register_application
from console.setting_fields import Words
from decisions.models import Scenario

DAYS_LOOKED_AT = 30
WORDS = {
    "send_above": Words(
        "Send from", "Confidence from which on a reply goes out by itself, 0 to 1; empty sends nothing."
    ),
    "draft_above": Words("Draft from", "Below this confidence the customer goes to an agent."),
    "error_rate": Words("Wrong replies allowed", "Share of what is sent by itself; the picture finds the threshold."),
    "auto_send_intents": Words(
        "Intents answered without an agent", "Names separated by commas, beside those that may be sent; * for all."
    ),
    "blocked_topics": Words("Blocked topics", "Words or phrases, separated by commas; they always go to an agent."),
    "order_event_types": Words("Events of orders", "Types in the behaviour log that say how orders stand."),
    "stages": Words("Stages of the search", "Of what replies rest on; full_text, dense, fuse, rerank, cross_encode."),
    "answers_inbound": Words("Answer help desks", "What comes from one is answered without being asked."),
    "business_name": Words("Name of the business", "Fills the slot business.name."),
    "first_response_minutes": Words("Minutes to a first response", "The inbox runs its clock by it."),
    "learn_past_replies": Words("Keep past replies", "What agents accept or edit can be suggested again."),
    "retrain": Words("Training on schedule", "Of the model that chooses among macros and past replies."),
    "retrain_least_labels": Words("Labels that a training waits for", "Accepted or edited since the last run."),
    "control_share": Words("Control group", "Share of the customers for whom words choose and not the model, 0 to 1."),
    "minutes_per_answer": Words("Minutes for an answer", "Of an agent; reports reckon by it."),
    "cost_agent_minute": Words("Cost of an agent's minute", "In the currency below."),
    "cost_per_1000_tokens": Words("Cost of 1,000 tokens", "Of a language model."),
    "currency": Words("Currency of the costs", "ISO 4217."),
}


def picture(stored: Scenario, changed: Scenario) -> tuple[str, dict[str, Any]]:
    """What agents' labels say of the settings that are stored and of those that are edited."""
    judged = read_labels()
    if not judged.scores:
        raise ValidationError("There is no picture yet: agents have judged no draft that could be sent.")
    now, then = (ServiceSettings.from_dict(each.settings) for each in (stored, changed))
    suggested = suggest_threshold(then, judged)
    a_day = sendable_since(timezone.now() - timedelta(days=DAYS_LOOKED_AT)) / DAYS_LOOKED_AT
    marks = {
        "now": sent_above(now.send_above, judged),
        "then": sent_above(then.send_above, judged),
        "best": sent_above(suggested.send_above, judged),
    }
    names = {"now": "Now", "then": "With your changes", "best": "Most that the allowed share permits"}
    return "service/thresholds.html", {
        "suggestion": suggested,
        "days": DAYS_LOOKED_AT,
        "a_day": a_day,
        "rows": [_row(names[kind], mark, a_day) for kind, mark in marks.items()],
        "picture": picture_of(suggested.curve, marks, error_rate=then.error_rate),
    }


def _row(name: str, mark: Sent | None, a_day: float) -> dict[str, Any]:
    coverage, risk = (mark.coverage, mark.risk) if mark else (None, None)
    shares = {"coverage": percent(coverage, 0), "risk": percent(risk, 1)}
    return {"name": name, "sent": mark, "a_day": mark.coverage * a_day if mark else 0.0, **shares}


register_application(
    ScenarioApplication(
        name=APPLICATION,
        title="Service",
        kinds=(),
        defaults=lambda kind: ServiceSettings(),
        check=check_settings,
        picture=picture,
        words=WORDS,
    )
)
