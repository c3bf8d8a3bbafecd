"""What the console's pages of reports, the ledger and auctions show."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.urls import reverse
from django.utils import timezone

from apps.ads.budgets.selectors import flight_accounts
from apps.ads.campaigns.models import MICROS, Flight
from apps.ads.campaigns.view import goal_text, money
from apps.ads.models import AdDecision
from apps.ads.pacing.goals import progress_of
from apps.ads.reports.selectors import CUTS, ReportRow, filtered_traffic, report
from apps.ads.settings import current_settings
from console.charts import chart_data, chart_options
from console.figures import percent

RANGES = {"1": "1 day", "7": "7 days", "28": "28 days", "90": "90 days"}
REASONS = {
    "currency": "in another currency",
    "size": "of another size",
    "archived": "the placement has been archived",
    "consent": "needs consent that was not given",
    "no_subject": "needs to know for whom",
    "cap": "shown to this subject often or recently enough",
    "budget": "its budget had nothing left",
    "busy": "its budget was just being asked by others",
    "pacing": "held back to spend evenly",
    "experiment": "of another arm of an experiment",
    "floor": "worth less than the floor price",
    "score": "a lower score",
    "draw": "the draw decided for another",
    "not_tried": "not tried, as the budgets of several before it refused",
    "bot": "asked for by a program",
    "won_elsewhere": "shown at another placement of the page",
    "targeting.hours": "not at this hour",
    "targeting.audiences": "the subject is not in the audience",
}


def report_rows(by: str | None, days: str | None) -> list[ReportRow]:
    until = timezone.now()
    since = until - timedelta(days=int(_days(days)))
    return report(by=_cut(by), since=since, until=until, zone=current_settings().timezone)


def report_context(by: str | None, days: str | None) -> dict[str, Any]:
    chosen = {"by": _cut(by), "cuts": CUTS, "days": _days(days), "ranges": RANGES}
    try:
        rows, hours = report_rows(by, days), report_rows("hour", days)
    except ValidationError as error:
        return chosen | {"problems": error.messages}
    until = timezone.now()
    filtered = filtered_traffic(since=until - timedelta(days=int(_days(days))), until=until)
    return chosen | {
        "rows": [_shown(row) for row in rows],
        "goals": _goals(rows) if _cut(by) == "flight" else [],
        "filtered": filtered,
        "chart": _chart(hours),
    }


def ledger_context() -> dict[str, Any]:
    flights = {each.id: each for each in Flight.objects.select_related("campaign__advertiser")}
    accounts = []
    for account in flight_accounts():
        flight = flights[account.flight_id]
        currency = flight.campaign.advertiser.currency
        amounts = (account.budget_micros, account.spent_micros, account.ledger_micros, account.reserved_micros)
        accounts.append(
            {
                "name": flight.name,
                "address": reverse("admin:ads_flight_change", args=[flight.id]),
                "amounts": [money(micros, currency) for micros in amounts],
                "events": account.billed_events,
                "problems": account.problems,
            }
        )
    return {"accounts": accounts, "wrong": sum(bool(each["problems"]) for each in accounts)}


def auction_context(decision: AdDecision) -> dict[str, Any]:
    request = decision.request
    currency = request.get("currency", "")
    flights = {str(flight.id): flight for flight in Flight.objects.filter(id__in=_losers(request))}
    return {
        "decision": decision,
        "auction": request,
        "price": money(request["price_micros"], currency) if "price_micros" in request else None,
        "floor": money(request.get("floor_micros", 0), currency),
        "propensity": decision.items[0]["propensity"] if decision.items else None,
        "participants": [
            each
            | {
                "bid": money(each["bid_micros"], currency),
                "value": money(each["value_micros"], currency),
                "score": each["score"] / MICROS,
                "why": reason_text(each["lost"]) if each["lost"] else "",
            }
            for each in request.get("participants", ())
        ],
        "losses": [
            (reason_text(reason), count, _named(reason, request.get("losers", {}).get(reason, ()), flights))
            for reason, count in request.get("losses", {}).items()
        ],
        "no_fill": reason_text(request["no_fill"]) if "no_fill" in request else None,
    }


def reason_text(reason: str) -> str:
    if reason.startswith("targeting.") and reason not in REASONS:
        return f"targeting: {reason.removeprefix('targeting.')}"
    return REASONS.get(reason, reason.replace("_", " "))


def _named(reason: str, losers: Iterable[str], flights: Mapping[str, Flight]) -> list[str]:
    """Names of flights, each with the audiences that it asks for where these kept it out."""
    if reason != "targeting.audiences":
        return [flights[each].name if each in flights else each for each in losers]
    return [f"{flights[each].name} ({_audiences(flights[each])})" if each in flights else each for each in losers]


def _audiences(flight: Flight) -> str:
    wanted, unwanted = (flight.targeting.get(part, {}).get("audiences", ()) for part in ("include", "exclude"))
    parts = [f"not in audience {' or '.join(wanted)}"] if wanted else []
    parts += [f"in audience {' or '.join(unwanted)}, which it excludes"] if unwanted else []
    return ", or ".join(parts)


def _losers(request: dict[str, Any]) -> set[str]:
    return {flight for flights in request.get("losers", {}).values() for flight in flights}


def _cut(by: str | None) -> str:
    return by if by in CUTS else "flight"


def _days(days: str | None) -> str:
    return days if days in RANGES else "7"


def _goals(rows: list[ReportRow]) -> list[tuple[str, str | None]]:
    """Flights of the report that have a goal, and where they stand."""
    goals = progress_of([UUID(row.key) for row in rows])
    return [(row.name, goal_text(goals[UUID(row.key)])) for row in rows if UUID(row.key) in goals]


def _shown(row: ReportRow) -> dict[str, Any]:
    return {
        "row": row,
        "spend": money(row.spend_micros, row.currency),
        "ctr": percent(row.ctr),
        "cvr": percent(row.cvr),
        "cpa": "—" if row.cpa_micros is None else money(round(row.cpa_micros), row.currency),
        "roas": "—" if row.roas is None else f"{row.roas:.2f}",
    }


def _chart(rows: list[ReportRow]) -> dict[str, str] | None:
    if not rows:
        return None
    currency = rows[0].currency
    shown = [row for row in rows if row.currency == currency]
    return {
        "title": f"Spend by hour, {currency}",
        "data": chart_data([row.key[5:16] for row in shown], {"Spend": [row.spend_micros / MICROS for row in shown]}),
        "options": chart_options(x=f"Hour ({current_settings().timezone})", y=currency, legend=False),
    }
