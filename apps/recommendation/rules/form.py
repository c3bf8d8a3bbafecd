"""The console's form of a rule: simple inputs for what most rules need, JSON for the rest."""

from typing import Any, cast

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError

from apps.recommendation.models import Rule
from apps.recommendation.rules.kinds import VALUES
from apps.recommendation.rules.services import change_rule, create_rule
from apps.recommendation.selectors import scenarios
from console.forms import PrettyJSONField
from console.rule_forms import RuleFormBase
from console.theme import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)
from decisions.rule_editing import RuleChanged, RuleRemoved

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
# Inputs that list values of one field of an item, and that field.
SIMPLE_TARGETS = {"target_ids": "id", "target_categories": "categories", "target_brands": "brand"}
# By input, the value of the rule that it gives. An input called window would hide the browser's own from its scripts.
VALUE_INPUTS = {
    "position": "position",
    "factor": "factor",
    "share": "share",
    "attribute": "attribute",
    "limit": "limit",
    "within": "window",
}
KINDS_OF_INPUT = {
    name: [str(kind) for kind, values in VALUES.items() if value in values] for name, value in VALUE_INPUTS.items()
}


SMALL_JSON = UnfoldAdminTextareaWidget(attrs={"rows": 3, "spellcheck": "false", "class": "console-code"})


class ListField(forms.CharField):
    """Texts that are separated by commas."""

    widget = UnfoldAdminTextInputWidget

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        return [part.strip() for part in value.split(",") if part.strip()] if value else []

    def has_changed(self, initial: Any, data: Any) -> bool:
        return (initial or []) != self.to_python(data)


def _integer(help_text: str) -> forms.IntegerField:
    return forms.IntegerField(required=False, help_text=help_text, widget=UnfoldAdminIntegerFieldWidget)


class RuleForm(RuleFormBase):
    scenarios = forms.MultipleChoiceField(
        required=False, widget=UnfoldAdminCheckboxSelectMultipleWidget, help_text="None means all."
    )
    target_ids = ListField(label="Items", required=False, help_text="Ids, separated by commas.")
    target_categories = ListField(label="Categories", required=False, help_text="Any of these.")
    target_brands = ListField(label="Brands", required=False, help_text="Any of these.")
    target = PrettyJSONField(
        label="Filter",
        required=False,
        help_text='Other conditions on the items as JSON: {"range": {"field": "price", "lte": 80}}, or a saved filter: '
        '{"saved": "cheap-shoes"}. What stands above must be met too.',
        widget=SMALL_JSON,
    )
    position = _integer("The place in the list, from 1.")
    factor = forms.FloatField(
        required=False,
        help_text="What scores are multiplied by: above 1 to boost, below 1 to bury.",
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"}),
    )
    share = _integer("Percent of the places, 1 to 100.")
    attribute = forms.ChoiceField(
        label="Of one",
        required=False,
        choices=[("category", "Category"), ("brand", "Brand")],
        widget=UnfoldAdminSelectWidget,
    )
    limit = _integer("At most so many.")
    within = _integer("Within so many neighbouring places; leave empty for the whole list.")
    query = ListField(label="Query has", required=False, help_text="Any of these words, separated by commas.")
    category = ListField(label="Category page", required=False, help_text="The category that the request names.")
    weekdays = forms.MultipleChoiceField(
        required=False,
        choices=[(str(number), name) for number, name in enumerate(DAYS, start=1)],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="None means every day.",
    )
    hour_from = _integer("From this hour (0 to 23, UTC) ...")
    hour_until = _integer("... until this one (1 to 24, UTC).")
    context = PrettyJSONField(
        label="Context", required=False, help_text='What the request must say: {"device": "mobile"}.', widget=SMALL_JSON
    )

    class Meta:
        model = Rule
        fields = ("name", "kind", "scenarios", "starts_at", "ends_at", "priority", "notes")
        widgets = {"notes": UnfoldAdminTextareaWidget(attrs={"rows": 2})}
        help_texts = {
            "starts_at": "UTC; empty means at once.",
            "ends_at": "UTC; empty means without end.",
            "priority": "Of two rules that want the same place the higher one wins.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rule = self.instance
        named = {key: f"{name} ({key})" for key, name in scenarios().values_list("key", "name")}
        # A scenario that is gone stays chosen until the operator takes it out.
        chosen = {key: key for key in rule.scenarios} | named
        cast(forms.MultipleChoiceField, self.fields["scenarios"]).choices = list(chosen.items())
        self.initial.update(_simple_target(rule.target))
        self.initial.update(_shown_values(rule.values) | _shown_condition(rule.condition))

    def write(self) -> Rule:
        fields = {name: self.cleaned_data[name] for name in self.Meta.fields}
        fields |= {"target": self._target(), "values": self._values(), "condition": self._condition()}
        try:
            if self.instance._state.adding:
                return create_rule(actor=self.actor, **fields)
            return change_rule(
                rule_id=self.instance.pk,
                actor=self.actor,
                changes=fields,
                version=self.cleaned_data["seen_version"],
            )
        except (RuleRemoved, RuleChanged) as error:
            raise ValidationError(str(error)) from error
        except ValidationError as error:
            raise ValidationError(self._at_inputs(error)) from error

    def _target(self) -> Any:
        parts = []
        for name, field in SIMPLE_TARGETS.items():
            values = self.cleaned_data[name]
            if len(values) == 1:
                parts.append({"eq": {"field": field, "value": values[0]}})
            elif values:
                parts.append({"in": {"field": field, "values": values}})
        if self.cleaned_data["target"] is not None:
            parts.append(self.cleaned_data["target"])
        return {"and": parts} if len(parts) > 1 else parts[0] if parts else None

    def _values(self) -> dict[str, Any]:
        kind = self.cleaned_data["kind"]
        given = {name: self.cleaned_data[name] for name, kinds in KINDS_OF_INPUT.items() if kind in kinds}
        return {VALUE_INPUTS[name]: value for name, value in given.items() if value not in (None, "")}

    def _condition(self) -> dict[str, Any]:
        cleaned = self.cleaned_data
        hours = {"from": cleaned["hour_from"], "until": cleaned["hour_until"]}
        condition = {
            "context": cleaned["context"],
            "query": cleaned["query"],
            "category": cleaned["category"],
            "weekdays": [int(day) for day in cleaned["weekdays"]],
            "hours": None if set(hours.values()) == {None} else hours,
        }
        return {name: value for name, value in condition.items() if value}

    def _at_inputs(self, error: ValidationError) -> dict[str, list[str]]:
        """The service's complaints at the inputs that they are about."""
        shown: dict[str, list[str]] = {}
        for name, complaints in error.message_dict.items():
            place = name if name in self.fields else NON_FIELD_ERRORS
            told = complaints if name in self.fields else [f"{name} {complaint}" for complaint in complaints]
            shown.setdefault(place, []).extend(told)
        return shown


def _simple_target(target: Any) -> dict[str, Any]:
    """Initial values of the target's inputs; what the simple ones cannot say stands in the filter."""
    parts = target["and"] if isinstance(target, dict) and list(target) == ["and"] else [target]
    initial: dict[str, Any] = {"target": ""}
    inputs = {field: name for name, field in SIMPLE_TARGETS.items()}
    others = []
    for part in parts if target is not None else []:
        match part:
            case {"eq": {"field": field, "value": str(value)}} if inputs.get(field, "target") not in initial:
                initial[inputs[field]] = [value]
            case {"in": {"field": field, "values": values}} if inputs.get(field, "target") not in initial:
                initial[inputs[field]] = values
            case _:
                others.append(part)
    if any("," in value for name in SIMPLE_TARGETS for value in initial.get(name, [])):
        return {"target": target}
    if others:
        initial["target"] = {"and": others} if len(others) > 1 else others[0]
    return initial


def _shown_values(values: dict[str, Any]) -> dict[str, Any]:
    return {name: values[value] for name, value in VALUE_INPUTS.items() if value in values}


def _shown_condition(condition: dict[str, Any]) -> dict[str, Any]:
    hours = condition.get("hours", {})
    return {
        "context": condition.get("context", ""),
        "query": condition.get("query", []),
        "category": condition.get("category", []),
        "weekdays": [str(day) for day in condition.get("weekdays", [])],
        "hour_from": hours.get("from"),
        "hour_until": hours.get("until"),
    }


# By input, when the form shows it (an expression of the theme's, over the form's inputs).
CONDITIONAL_INPUTS = {
    name: " || ".join(f"kind == '{kind}'" for kind in kinds) for name, kinds in KINDS_OF_INPUT.items()
}
