"""The settings of ads in the console: fields with words, and what they come to beside them."""

from typing import Any

from apps.ads.engine import Prior, smoothed_rates
from apps.ads.settings import APPLICATION, AdSettings
from console.figures import percent
from console.scenario_applications import ScenarioApplication, register_application
from console.setting_fields import Words
from decisions.models import Scenario
from decisions.policies import chance_of_best

WORDS = {
    "timezone": Words("Time zone", "Of daily budgets and hours of targeting, such as Europe/Berlin."),
    "impression_minutes": Words("Minutes until it is seen", "A placed ad that nobody saw goes back into its budget."),
    "click_minutes": Words("Minutes until it is clicked", "Counted from when it was seen."),
    "prior_click_rate": Words("Clicks of an impression", "What a creative is taken for until it is known, as a share."),
    "prior_conversion_rate": Words("Conversions of a click", "The same for conversions."),
    "prior_weight": Words("Impressions until it is known", "By so many the two shares above are believed."),
    "policy": Words("Order", "Softmax now and then shows what scores less, so that more is learnt."),
    "temperature": Words("Temperature of softmax", "The higher, the more often lower scores are shown."),
    "fastest_click_ms": Words("Fastest click", "Milliseconds from seeing; sooner ones are not billed."),
    "most_clicks_an_hour": Words("Clicks of one subject in an hour", "More are not billed."),
    "own_addresses": Words("Own networks", "Of your house, such as 203.0.113.0/24, separated by commas; never billed."),
    "four_eyes": Words("Four eyes", "Nobody approves a creative that they made or changed."),
}
# A creative that did as in the row: its impressions and clicks.
EXAMPLES = (("of a new creative", 0, 0), ("after 1,000 impressions with 10 clicks", 1_000, 10))
SCORES = (2.0, 1.0)


def picture(stored: Scenario, changed: Scenario) -> tuple[str, dict[str, Any]]:
    """What a click's bid comes to and what softmax shows, under the settings as they are and as they are edited."""
    both = [AdSettings.from_dict(each.settings) for each in (stored, changed)]
    rows = [(f"Value of 1,000 impressions {name}", *[_value(each, *seen) for each in both]) for name, *seen in EXAMPLES]
    chances = [percent(chance_of_best(each.decision_policy, SCORES), 1) for each in both]
    minutes = [f"{each.impression_minutes} min, {each.click_minutes} min" for each in both]
    return "ads/settings.html", {
        "rows": [
            *rows,
            ("Chance that the better of two is shown, which scores twice as much", *chances),
            ("A price stays reserved until it is seen, and until it is clicked", *minutes),
        ]
    }


def _value(settings: AdSettings, impressions: int, clicks: int) -> str:
    (rate,) = smoothed_rates([clicks], [impressions], Prior(settings.prior_click_rate, settings.prior_weight))
    return f"{1000 * rate:.2f}"


register_application(
    ScenarioApplication(
        name=APPLICATION,
        title="Ads",
        kinds=(),
        defaults=lambda kind: AdSettings(),
        check=AdSettings.from_dict,
        picture=picture,
        words=WORDS,
    )
)
