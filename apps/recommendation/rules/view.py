"""A rule's preview in the console: the list of a chosen subject without the rule and with it."""

from collections.abc import Mapping
from typing import Any, cast

from django import forms

from apps.recommendation.lists.asking import Ask, Recommendation
from apps.recommendation.models import Rule
from apps.recommendation.rules.previews import RulePreview, preview_rules
from apps.recommendation.selectors import UnknownScenario, scenarios
from apps.recommendation.services import create_default_scenarios
from behavior.subjects import BadSubject, read_subject
from catalog.filters import FilterError
from catalog.selectors import find_items
from console.theme import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

NOBODY = "a visitor that nobody knows"
SUBJECT_KINDS = {"user_id": "User id", "anonymous_id": "Anonymous id"}


class PreviewForm(forms.Form):
    scenario = forms.ChoiceField(widget=UnfoldAdminSelectWidget)
    kind = forms.ChoiceField(
        label="Subject by", required=False, choices=list(SUBJECT_KINDS.items()), widget=UnfoldAdminSelectWidget
    )
    subject = forms.CharField(label="Subject id", required=False, max_length=200, widget=UnfoldAdminTextInputWidget)
    count = forms.IntegerField(
        label="Places", required=False, initial=10, min_value=1, max_value=50, widget=UnfoldAdminIntegerFieldWidget
    )

    def __init__(self, rule: Rule, data: Mapping[str, Any] | None) -> None:
        super().__init__(data, prefix="preview")
        known = dict(scenarios().filter(is_active=True).values_list("key", "name"))
        own_first = sorted(known, key=lambda key: key not in rule.scenarios)
        cast(forms.ChoiceField, self.fields["scenario"]).choices = [(key, known[key]) for key in own_first]


def preview_context(rule: Rule, data: Mapping[str, Any]) -> dict[str, Any]:
    """The preview's form, and its lists once it was sent."""
    if not scenarios().exists():
        create_default_scenarios()
    is_sent = "preview-scenario" in data
    form = PreviewForm(rule, data if is_sent else None)
    context: dict[str, Any] = {"preview_form": form}
    if not is_sent or not form.is_valid():
        return context
    chosen = form.cleaned_data
    subject_id = chosen["subject"].strip() or NOBODY
    try:
        subject = read_subject({chosen["kind"] or "user_id": subject_id})
        ask = Ask(scenario=chosen["scenario"], subject=subject, count=chosen["count"] or 10, context=_context(rule))
        shown = preview_rules(ask, [rule])
    except (BadSubject, UnknownScenario, FilterError) as error:
        return context | {"preview_problem": str(error)}
    return context | {"shown": _rows(shown), "moves": shown.moves, "is_same": not shown.moves}


def _context(rule: Rule) -> dict[str, Any]:
    """A request that meets the rule's condition, as far as the rule says what it must hold."""
    condition = rule.condition
    context = dict(condition.get("context", {}))
    for name in ("query", "category"):
        if name in condition:
            context[name] = condition[name][0]
    return context


def _rows(shown: RulePreview) -> dict[str, list[dict[str, Any]]]:
    known = find_items({item["id"] for side in (shown.before, shown.after) for item in side.items})
    moves = {move.id: move for move in shown.moves}

    def side(answer: Recommendation) -> list[dict[str, Any]]:
        return [
            {
                "rank": item["rank"],
                "id": item["id"],
                "title": known[item["id"]].title if item["id"] in known else "",
                "rules": item["rules"],
                "move": moves.get(item["id"]),
                "change": _change(moves.get(item["id"])),
            }
            for item in answer.items
        ]

    return {"before": side(shown.before), "after": side(shown.after)}


def _change(move: Any) -> dict[str, str] | None:
    """How a moved item is marked."""
    if move is None or move.before == move.after:
        return None
    if move.before is None:
        return {"style": "new", "text": "new"}
    if move.after is None:
        return {"style": "gone", "text": "gone"}
    up = move.before - move.after
    return {"style": "up", "text": f"▲ {up}"} if up > 0 else {"style": "down", "text": f"▼ {-up}"}
