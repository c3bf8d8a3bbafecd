"""What the console's page of a forecast shows."""

from typing import Any

from django.core.exceptions import ValidationError

from apps.ads.campaigns.models import MICROS, Flight
from apps.ads.campaigns.view import money
from apps.ads.forecasts.replay import BIDS, forecast
from apps.ads.reports.view import reason_text
from console.charts import chart_data, chart_options
from console.figures import percent

SIZE = "no creative of the placement's size"


def forecast_context(flight: Flight) -> dict[str, Any]:
    try:
        found = forecast(flight)
    except ValidationError as error:
        return {"problems": error.messages}
    currency = flight.campaign.advertiser.currency
    return {
        "found": found,
        "lost": [(SIZE if reason == "size" else reason_text(reason), count) for reason, count in found.lost.items()],
        "rows": [
            {
                "outlook": each,
                "bid": money(each.bid_micros, currency),
                "spend": money(round(each.spend_micros), currency),
                "won": percent(each.won_share, 1),
                "limit": (each.limited_by or "—").replace("_", " "),
                "is_own": factor == 1,
            }
            for factor, each in zip(BIDS, found.outlooks, strict=True)
        ],
        "chart": {
            "title": f"Spend by bid, {currency}",
            "data": chart_data(
                [money(each.bid_micros, currency) for each in found.outlooks],
                {"Spend": [each.spend_micros / MICROS for each in found.outlooks]},
            ),
            "options": chart_options(x="Bid", y=currency, legend=False),
        },
    }
