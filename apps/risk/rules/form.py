"""The console's forms of a rule and of its back-test."""

from datetime import timedelta
from typing import Any

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.urls import reverse
from django.utils import timezone

from apps.risk.rules.models import RiskRule
from apps.risk.rules.services import FIELDS, change_rule, create_rule
from console.rule_forms import RuleFormBase
from console.theme import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget
from decisions.rule_editing import RuleChanged, RuleRemoved

BACK_TEST_DAYS = 28


class RiskRuleForm(RuleFormBase):
    class Meta:
        model = RiskRule
        fields = FIELDS
        widgets = {
            "expression": UnfoldAdminTextareaWidget(attrs={"rows": 4, "spellcheck": "false", "class": "console-code"}),
            "description": UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        }
        help_texts = {
            "expression": "A condition such as amount > 500 and hour < 5. The fields are listed below.",
            "starts_at": "UTC; empty means at once.",
            "ends_at": "UTC; empty means without end.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["expression"].widget.attrs |= {
            "hx-post": reverse("admin:risk_riskrule_check"),
            "hx-trigger": "input changed delay:300ms",
            "hx-target": "#expression_check",
            "hx-swap": "innerHTML",
        }

    def write(self) -> RiskRule:
        fields = {name: self.cleaned_data[name] for name in FIELDS}
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
            known = error.message_dict.items()
            raise ValidationError(
                {name if name in self.fields else NON_FIELD_ERRORS: told for name, told in known}
            ) from error


def _day(label: str) -> forms.DateField:
    return forms.DateField(label=label, widget=UnfoldAdminTextInputWidget(attrs={"type": "date"}))


class BackTestForm(forms.Form):
    from_day = _day("From")
    to_day = _day("To")


def back_test_form(data: Any = None) -> BackTestForm:
    """By default the newest four weeks."""
    today = timezone.now().date()
    return BackTestForm(data, initial={"from_day": today - timedelta(days=BACK_TEST_DAYS - 1), "to_day": today})
