"""What the console shows of an object besides its form: its history, and of a flight its account and its pacing."""

from typing import Any

from django.utils.formats import localize

from apps.ads.budgets.models import FlightBudget
from apps.ads.budgets.selectors import flight_accounts
from apps.ads.campaigns.models import MICROS, AdObject, Creative, Flight
from apps.ads.campaigns.selectors import changes_of, differences
from apps.ads.campaigns.services import FIXED
from apps.ads.pacing.goals import Progress, progress_of
from apps.ads.pacing.models import FlightPacing
from apps.ads.pacing.selectors import steps_of
from console.charts import chart_data, chart_options

HISTORY_SHOWN = 50
# Digits of micros that are smaller than a hundredth.
CENT_DIGITS = 4


def money(micros: int, currency: str) -> str:
    """Units of a currency with as many places as it takes, two at least."""
    whole, rest = divmod(micros, MICROS)
    places = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{whole:,}.{places} {currency}"


def object_context(found: AdObject) -> dict[str, Any]:
    return {
        "found": found,
        "facts": _facts(found),
        "history": [
            (change, [_named(found, each) for each in differences(change)])
            for change in changes_of(found.id)[:HISTORY_SHOWN]
        ],
    }


def _named(found: AdObject, difference: dict[str, Any]) -> dict[str, Any]:
    """What an object belongs to never changes; it is told by its name and not by its id."""
    name = difference["name"].removesuffix("_id")
    if name == difference["name"] or difference["name"] not in FIXED[type(found)]:
        return difference
    return difference | {"name": name, "after": str(getattr(found, name))}


def goal_text(progress: Progress | None) -> str | None:
    """Such as "240 of 1,000 clicks: behind an even delivery, which would have 300"."""
    if progress is None:
        return None
    state = "on track" if progress.is_on_track else "behind"
    expected = "" if progress.expected is None else f"; {progress.expected:,} by its end if it goes on like this"
    return (
        f"{progress.achieved:,} of {progress.goal:,} {progress.goal_kind}: {state}, an even delivery would have "
        f"{progress.planned:,}{expected}"
    )


def _facts(found: AdObject) -> list[tuple[str, str]]:
    status = []
    if isinstance(found, Flight):
        status = [("Status", found.get_status_display())]
    elif isinstance(found, Creative):
        status = [("Review", found.get_review_display()), ("Note", found.review_note or "—")]
    archived = [("Archived", localize(found.archived_at))] if found.archived_at else []
    return [*status, *archived, ("Version", str(found.version)), ("Changed by", found.updated_by)]


def flight_context(flight: Flight) -> dict[str, Any]:
    currency = flight.campaign.advertiser.currency
    budget = FlightBudget.objects.filter(flight_id=flight.id).first()
    if budget is None:
        return {}
    (account,) = flight_accounts([flight.id])
    pacing = FlightPacing.objects.filter(flight_id=flight.id).first()
    steps = steps_of(flight.id)
    amounts = {
        "Budget": budget.budget_micros,
        "Spent": budget.spent_micros,
        "Reserved": budget.reserved_micros,
        "Left": max(budget.budget_micros - budget.spent_micros - budget.reserved_micros, 0),
        "Behind the plan": round(steps[-1].make_good_micros, -CENT_DIGITS) if steps else 0,
    }
    return {
        "account": [(name, money(micros, currency)) for name, micros in amounts.items()],
        "billed_events": budget.billed_events,
        "goal": goal_text(progress_of([flight.id]).get(flight.id)),
        "problems": account.problems,
        "pacing": pacing,
        "chart": _chart([(step.stepped_at, step.planned_micros, step.spent_micros) for step in steps], currency),
    }


def _chart(steps: list[tuple[Any, int, int]], currency: str) -> dict[str, str] | None:
    if not steps:
        return None
    series = {
        "Planned": [planned / MICROS for _, planned, _ in steps],
        "Spent": [spent / MICROS for _, _, spent in steps],
    }
    return {
        "title": "What was to be spent, and what was",
        "data": chart_data([moment.strftime("%m-%d %H:%M") for moment, _, _ in steps], series),
        "options": chart_options(x="Time (UTC)", y=currency, legend=True),
    }
