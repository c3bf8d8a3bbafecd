"""How the KPI of a scenario are shown: figures beside the period before, and charts by day."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Any

from django.utils import timezone

from console.charts import chart_data, chart_options
from console.figures import percent
from decisions.kpi import Estimate, Figures, Kpi, Period, scenario_kpi

RANGES = {"1": "Today", "7": "A week", "30": "A month", "90": "Three months"}
DEFAULT_RANGE = "7"
# Below so many lists a rate says nothing yet.
ENOUGH_LISTS = 100


@dataclass(frozen=True)
class Row:
    """A figure in this period and in the one before, as texts. `verdict` is up or down where the intervals of the two
    do not overlap, so that chance alone is an unlikely cause."""

    title: str
    note: str
    now: str
    interval: str
    before: str
    change: str
    verdict: str


def kpi_context(scenario: str, chosen: str | None) -> dict[str, Any]:
    days = int(chosen if chosen in RANGES else DEFAULT_RANGE)
    today = timezone.now().astimezone(UTC).date()
    kpi = scenario_kpi(scenario, Period(today - timedelta(days=days - 1), today))
    return {
        "kpi": kpi,
        "ranges": RANGES,
        "days": str(days),
        "rows": kpi_rows(kpi),
        "charts": _charts(kpi),
        "click_minutes": f"{kpi.windows.click.total_seconds() / 60:g}",
        "purchase_days": f"{kpi.windows.purchase.total_seconds() / 86_400:g}",
        "few": 0 < kpi.total.lists < ENOUGH_LISTS,
    }


def kpi_rows(kpi: Kpi) -> list[Row]:
    money = f"{kpi.currency} " if kpi.currency else ""
    rows = [
        _count("Lists served", "", kpi, lambda figures: figures.lists),
        _count("Items in them", "", kpi, lambda figures: figures.items),
        _count("Items seen", "from impressions, where the shop sends them", kpi, lambda figures: figures.seen),
        _rate("Lists with a click", "click or view of a listed item", kpi, lambda figures: figures.click_rate, percent),
        _rate("Lists with an add to cart", "", kpi, lambda figures: figures.cart_rate, percent),
        _rate("Lists with a purchase", "", kpi, lambda figures: figures.conversion_rate, percent),
        _rate(
            "Revenue per 1,000 lists",
            "of the items bought from them",
            kpi,
            lambda figures: figures.revenue_per_1000,
            lambda value: f"{money}{value:,.2f}",
        ),
        _rate("Degraded lists", "something stood in", kpi, lambda figures: figures.degraded_rate, percent),
    ]
    coverage = [percent(share, 1) for share in (kpi.coverage.share, kpi.coverage_before.share)]
    rows.append(
        Row("Coverage", f"of {kpi.coverage.catalogue:,} items that can be shown", coverage[0], "", coverage[1], "", "")
    )
    for title, name in (("Latency, median", "latency_p50_ms"), ("Latency, 95 % below", "latency_p95_ms")):
        now, before = (_text(getattr(figures, name), "{:.1f} ms") for figures in (kpi.total, kpi.before))
        rows.append(Row(title, "to decide", now, "", before, "", ""))
    return rows


def _count(title: str, note: str, kpi: Kpi, read: Callable[[Figures], int]) -> Row:
    now, before = read(kpi.total), read(kpi.before)
    return Row(title, note, f"{now:,}", "", f"{before:,}", _change(now, before), "")


def _rate(
    title: str, note: str, kpi: Kpi, read: Callable[[Figures], Estimate | None], write: Callable[[float], str]
) -> Row:
    now, before = read(kpi.total), read(kpi.before)
    return Row(
        title,
        note,
        write(now.value) if now else "—",
        f"{write(now.low)} to {write(now.high)}" if now else "",
        write(before.value) if before else "—",
        _change(now.value, before.value) if now and before else "",
        _verdict(now, before),
    )


def _verdict(now: Estimate | None, before: Estimate | None) -> str:
    if now is None or before is None or (now.low <= before.high and before.low <= now.high):
        return ""
    return "up" if now.value > before.value else "down"


def _change(now: float, before: float) -> str:
    return percent(now / before - 1, 0, "+") if before else ""


def _text(value: float | None, form: str) -> str:
    return "—" if value is None else form.format(value)


def _charts(kpi: Kpi) -> list[dict[str, str]]:
    labels = [day.strftime("%d %b") for day in kpi.days]
    figures = list(kpi.days.values())

    def percents(read: Callable[[Figures], Estimate | None]) -> Sequence[float | None]:
        return [round(100 * found.value, 3) if (found := read(each)) else None for each in figures]

    rates = {
        "click": percents(lambda each: each.click_rate),
        "add to cart": percents(lambda each: each.cart_rate),
        "purchase": percents(lambda each: each.conversion_rate),
    }
    return [
        {
            "title": "Lists with a click, an add to cart, a purchase",
            "type": "bar",
            "data": chart_data(labels, rates),
            "options": chart_options(x="UTC", y="% of lists", legend=True),
        },
        {
            "title": "Lists served",
            "type": "bar",
            "data": chart_data(labels, {"lists": [each.lists for each in figures]}),
            "options": chart_options(x="UTC", y="lists", legend=False),
        },
    ]
