"""How scenarios of this application are edited and previewed in the console."""

from dataclasses import fields

from apps.recommendation.lists.asking import Ask
from apps.recommendation.lists.settings import ScenarioSettings
from apps.recommendation.scenarios import APPLICATION, Kind, scenario_settings, settings_that_count
from apps.recommendation.services import preview_scenario
from behavior.subjects import Subject
from console.scenario_applications import PreviewedItem, PreviewedList, ScenarioApplication, register_application
from console.setting_fields import Words
from decisions.models import Scenario

WORDS = {
    "event_weights": Words(
        "Weights of events",
        "What an event says about interest, one a line. Types that are not named weigh 1; 0 leaves a type out.",
    ),
    "exclude_bought_days": Words(
        "Leave out what was bought, days", "Items bought within so many days; 0 lets them in."
    ),
    "bought_types": Words("Events that mean bought", "Separated by commas."),
    "exclude_seen": Words("Leave out what was seen", "Items that the person has any event with."),
    "temperature": Words("Exploration", "0 gives the best list; higher values, up to 10, draw from it."),
    "filter": Words(
        "Filter", 'Which items may appear, such as {"eq": {"field": "categories", "value": "tents"}}; null: all.'
    ),
    "require_known_items": Words(
        "Only items of the catalogue", "Left open, items that only the log knows show while there is no catalogue."
    ),
    "popular_days": Words("Popularity looks back, days"),
    "trend_days": Words("A trend looks back, days", "The period is compared with the one four times as long before."),
}


def _sentence(meaning: str) -> str:
    return f"{meaning[0].upper()}{meaning[1:]}.".replace("`", "")


# What the API's documentation says of a setting does where nothing better is written above.
DESCRIBED = {
    each.name: Words(each.name.replace("_", " ").capitalize(), _sentence(each.metadata["meaning"]))
    for each in fields(ScenarioSettings)
}


def preview(scenario: Scenario, subject: Subject, page: str, count: int) -> PreviewedList:
    items, context = ([page], {"category": page}) if page else ([], {})
    answer = preview_scenario(scenario, Ask(scenario.key, subject, count, items=items, context=context))
    return PreviewedList(
        [
            PreviewedItem(
                item_id=item["id"],
                score=item["score"],
                parts=item.get("parts", {}),
                reasons=[reason["text"] for reason in item["reasons"]],
                rules=item["rules"],
            )
            for item in answer.items
        ],
        answer.degraded,
        answer.notice,
    )


register_application(
    ScenarioApplication(
        name=APPLICATION,
        title="Recommendation",
        kinds=Kind.choices,
        defaults=scenario_settings,
        check=ScenarioSettings.from_dict,
        counting=settings_that_count,
        preview=preview,
        words=DESCRIBED | WORDS,
    )
)
