"""The console's forms of advertisers, campaigns, flights, creatives and placements."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.http import HttpRequest
from django.shortcuts import get_object_or_404

from apps.ads.campaigns.models import HIGHEST_BUDGET, MICROS, AdObject, Creative, Flight
from apps.ads.campaigns.services import FIELDS, FIXED, Refused, change, create
from apps.ads.experiments.form import ArmsField
from console.forms import PrettyJSONField, ServiceForm
from console.theme import BaseDialogForm, UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

MONEY = {
    "bid_micros": (
        "Bid",
        "In units of the advertiser's currency, for a thousand impressions, a click or a conversion.",
    ),
    "budget_micros": ("Budget", "In units of the advertiser's currency, for all days together. Never exceeded."),
    "daily_budget_micros": ("Daily budget", "Empty means that the budget alone counts."),
    "floor_micros": ("Floor price", "For a thousand impressions, in units of the placement's currency."),
}
MOST_FLIGHTS = 1_000
TARGETING = (
    "Who and where, such as "
    '{"include": {"countries": ["DE"], "keywords": ["tent"]}, "attributes": {"<name>": ["<value>"]}, '
    '"hours": [{"days": [0, 1], "from": 8, "to": 20}]}.'
)
OWN_NETWORKS = 'Where its own people sit, such as ["203.0.113.0/24"]. What they see and click counts for nothing.'


class MoneyField(forms.DecimalField):
    """Currency units with up to six places; its value is whole micro-units."""

    widget = UnfoldAdminTextInputWidget

    def prepare_value(self, value: Any) -> Any:
        return f"{Decimal(value) / MICROS:f}" if isinstance(value, int) else value

    def clean(self, value: Any) -> Any:
        units = super().clean(value)
        return None if units is None else int(units * MICROS)


class AdObjectForm(ServiceForm):
    """Base of the five forms; the service judges and writes, unless the object is another than the one that was
    seen."""

    actor = ""  # set by the page
    seen_version = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["seen_version"] = self.instance.version
        for name, (label, help_text) in MONEY.items():
            if name in self.fields:
                plain = self.fields[name]
                self.fields[name] = MoneyField(
                    label=label,
                    help_text=help_text,
                    required=plain.required,
                    initial=plain.initial,
                    max_digits=16,
                    decimal_places=6,
                    max_value=HIGHEST_BUDGET // MICROS,
                    min_value=0,
                )
        if "arms" in self.fields:
            self.fields["arms"] = ArmsField(campaign_id=getattr(self.instance, "campaign_id", None))
        if "seed_flight_id" in self.fields:
            self.fields["seed_flight_id"] = _flight_field()
        if "own_networks" in self.fields:
            self.fields["own_networks"] = PrettyJSONField(required=False, initial=[], help_text=OWN_NETWORKS)
        if "targeting" in self.fields:
            self.fields["targeting"] = PrettyJSONField(required=False, help_text=TARGETING)

    def write(self) -> AdObject:
        model = self._meta.model
        given = {name: self.cleaned_data[name] for name in FIELDS[model] if name in self.cleaned_data}
        if "targeting" in given:
            given["targeting"] = given["targeting"] or {}
        if "own_networks" in given:
            given["own_networks"] = given["own_networks"] or []
        try:
            if not self.instance._state.adding:
                seen = self.cleaned_data["seen_version"]
                return change(model, object_id=self.instance.pk, actor=self.actor, changes=given, version=seen)
            fixed = {name: self.cleaned_data[name.removesuffix("_id")] for name in FIXED[model]}
            keys = {name: value.pk if name.endswith("_id") else value for name, value in fixed.items()}
            return create(model, actor=self.actor, **keys, **given)
        except Refused as error:
            raise ValidationError(str(error)) from error
        except ValidationError as error:
            told: dict[str, list[str]] = {}
            for name, messages in error.message_dict.items():
                shown = next(
                    (each for each in (name, name.removesuffix("_id")) if each in self.fields), NON_FIELD_ERRORS
                )
                told.setdefault(shown, []).extend(messages)
            raise ValidationError(told) from error


def _flight_field() -> forms.TypedChoiceField:
    flights = Flight.objects.filter(archived_at=None).order_by("name").values_list("id", "name")[:MOST_FLIGHTS]
    return forms.TypedChoiceField(
        label="Flight of the seed",
        choices=[("", "any"), *((str(flight), name) for flight, name in flights)],
        coerce=UUID,
        empty_value=None,
        required=False,
        widget=UnfoldAdminSelectWidget,
        help_text="With ad_impression, ad_click or ad_conversion as the event: of this flight alone.",
    )


class ApprovalForm(BaseDialogForm):
    """Shows what it approves, and nothing else: its version comes back with the answer."""

    form_before_template = "ads/approval.html"
    version = forms.IntegerField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.creative = get_object_or_404(Creative, id=self.object_id)
        self.initial["version"] = self.creative.version

    def get_before_template_context(self, request: HttpRequest, object_id: Any = None) -> dict[str, Any]:
        return {"creative": self.creative}


class RejectionForm(BaseDialogForm):
    note = forms.CharField(
        label="Why",
        max_length=500,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="For the advertiser.",
    )
