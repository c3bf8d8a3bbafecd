"""The desk's settings in the console: fields with words, and a picture of the thresholds that follow."""

from typing import Any

from django.core.exceptions import ValidationError

from apps.risk.assessments.picture import picture_of
from apps.risk.assessments.settings import APPLICATION, RiskSettings, check_settings
from apps.risk.assessments.thresholds import TooFewAssessments, scored_of_late, thresholds_of
from console.scenario_applications import ScenarioApplication, register_application
from console.setting_fields import Words
from decisions.models import Scenario

DAYS_LOOKED_AT = 30
WORDS = {
    "review_above": Words("Review from", "Probability of fraud from which on it is reviewed; 2 for never."),
    "decline_above": Words(
        "Decline from", "Probability from which on it is declined, 2 for never; not below the one for review."
    ),
    "review_anomaly_above": Words(
        "Review the unusual from",
        "Where no model of frauds is live: the share of transactions that must be less unusual.",
    ),
    "label_delay_days": Words(
        "Days until a fraud is known", "Training, monitoring and back-tests wait so long for labels."
    ),
    "cost_fraud_share": Words("Cost of a fraud", "Share of its amount that is lost when it passes."),
    "cost_review": Words("Cost of a review", "In the desk's currency."),
    "cost_wrong_decline": Words("Cost of a wrong decline", "Of a genuine transaction, in the desk's currency."),
    "review_catch_share": Words("Frauds that a review recognises", "As a share, 0 to 1."),
    "daily_capacity": Words("Reviews a day", "How many the desk can do."),
    "event_types": Words("Events that are transactions", "Types in the behaviour log, separated by commas."),
    "currency": Words("Currency of the desk", "ISO 4217; of costs, sums and rules, and of events that name none."),
    "exchange_rates": Words(
        "Exchange rates", "What one unit of another currency is worth in the desk's, one a line, such as USD: 0.92."
    ),
    "shadow_share": Words("Share asked of a challenger", "Of the assessments, 0 to 1."),
    "challenger_version": Words("Version of the challenger", "Its number; 0 for the newest candidate."),
    "retrain": Words("Training on schedule", "Once enough labels have matured."),
    "retrain_least_labels": Words(
        "Labels that a training waits for", "Newly matured since the last run that succeeded."
    ),
    "link_most_subjects": Words(
        "Most users of a link", "A card, device, address or counterparty that more other subjects used ties no cases."
    ),
}


def picture(stored: Scenario, changed: Scenario) -> tuple[str, dict[str, Any]]:
    """What thresholds come to under the settings that are stored and those that are edited."""
    try:
        scored = scored_of_late(days=DAYS_LOOKED_AT)
    except TooFewAssessments as error:
        raise ValidationError(f"There is no picture yet: {error}.") from error
    now, then = (RiskSettings.from_dict(each.settings) for each in (stored, changed))
    found = [thresholds_of(each, scored) for each in (now, then)]
    return "risk/thresholds.html", {
        "assessments": len(scored.amounts),
        "days": DAYS_LOOKED_AT,
        "currency": then.currency,
        "rows": [
            ("Now", found[0]["current"]),
            ("With your changes", found[1]["current"]),
            ("Least cost that your changes allow", found[1]["suggested"]),
        ],
        "suggested": found[1]["suggested"],
        "approve_all": found[1]["suggested"]["approve_all_cost_per_1000"],
        "picture": picture_of(*found, daily_capacity=then.daily_capacity),
    }


register_application(
    ScenarioApplication(
        name=APPLICATION,
        title="Risk",
        kinds=(),
        defaults=lambda kind: RiskSettings(),
        check=check_settings,
        picture=picture,
        words=WORDS,
    )
)
