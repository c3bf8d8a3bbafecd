"""The console's field of an experiment's arms: a row of inputs for each."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.ads.campaigns.models import Creative, Flight
from apps.ads.experiments.arms import MOST_ARMS
from console.theme import UnfoldAdminSelectMultipleWidget, UnfoldAdminTextInputWidget

INPUTS = {"name": "Name", "percent": "Share in percent", "members": "Flights and creatives"}
FEWEST_ROWS = 3
MOST_OFFERED = 1_000  # flights, and as many creatives
Offered = list[tuple[str, list[tuple[str, str]]]]


class ArmsWidget(forms.Widget):
    """A table; its value is a list of {name, percent, members} as they were typed."""

    offered: Offered = []

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        arms = value or []
        rows = min(max(len(arms) + 1, FEWEST_ROWS), MOST_ARMS)
        body = [self._row(name, number, arms[number] if number < len(arms) else {}) for number in range(rows)]
        return format_html(
            '<table class="console-table" id="id_{}"><thead><tr>{}</tr></thead><tbody>{}</tbody></table>',
            name,
            format_html_join("", "<th>{}</th>", ((title,) for title in INPUTS.values())),
            format_html_join("", "<tr>{}</tr>", ((row,) for row in body)),
        )

    def _row(self, name: str, number: int, arm: dict[str, Any]) -> SafeString:
        members = UnfoldAdminSelectMultipleWidget(attrs={"size": 4})
        members.choices = self.offered
        widgets = {"name": UnfoldAdminTextInputWidget(), "percent": UnfoldAdminTextInputWidget(), "members": members}
        return format_html_join(
            "",
            "<td>{}</td>",
            (
                (
                    widget.render(
                        f"{name}-{number}-{part}",
                        arm.get(part),
                        {"id": f"id_{name}_{number}_{part}", "aria-label": f"{INPUTS[part]} of arm {number + 1}"},
                    ),
                )
                for part, widget in widgets.items()
            ),
        )

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[dict[str, Any]]:
        arms = [
            {
                "name": data.get(f"{name}-{number}-name", "").strip(),
                "percent": data.get(f"{name}-{number}-percent", "").strip(),
                "members": data.getlist(f"{name}-{number}-members"),
            }
            for number in range(MOST_ARMS)
        ]
        return [arm for arm in arms if any(arm.values())]

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return f"{name}-0-name" not in data


class ArmsField(forms.Field):
    """Its value is the arms as the service reads them, which judges them."""

    widget = ArmsWidget

    def __init__(self, *, campaign_id: UUID | None) -> None:
        super().__init__(
            help_text="The first arm is what the others are compared with. Shares add up to 100; an empty row counts "
            "for nothing. A flight stands for all its creatives."
        )
        self.widget.offered = offered_members(campaign_id)

    def prepare_value(self, value: Any) -> Any:
        return [arm if "percent" in arm else arm | {"percent": f"{100 * arm['share']:.10g}"} for arm in value or []]

    def clean(self, value: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        try:
            return [
                {"name": arm["name"], "share": float(Decimal(arm["percent"]) / 100), "members": arm["members"]}
                for arm in value
            ]
        except ArithmeticError:
            raise ValidationError("Each share must be a number, such as 50.") from None


def offered_members(campaign_id: UUID | None) -> Offered:
    """By campaign and name, the flights and creatives of one campaign, or of all where it is not known yet."""
    flights = Flight.objects.filter(archived_at=None, campaign__archived_at=None).select_related("campaign")
    creatives = Creative.objects.filter(archived_at=None)
    if campaign_id is not None:
        flights = flights.filter(campaign_id=campaign_id)
        creatives = creatives.filter(flight__campaign_id=campaign_id)
    groups: dict[str, list[tuple[str, str]]] = {}
    names: dict[UUID, tuple[str, str]] = {}
    for flight in flights.order_by("name")[:MOST_OFFERED]:
        names[flight.id] = flight.campaign.name, flight.name
        groups.setdefault(flight.campaign.name, []).append((str(flight.id), flight.name))
    for creative in creatives.order_by("name")[:MOST_OFFERED]:
        if creative.flight_id in names:
            campaign, flight_name = names[creative.flight_id]
            groups[campaign].append((str(creative.id), f"{flight_name}: {creative.name}"))
    return sorted((campaign, sorted(members, key=lambda each: each[1])) for campaign, members in groups.items())
