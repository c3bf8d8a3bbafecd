"""What the console shows of a rule besides its form: the check, the fields, the newest back-test with its chart."""

from typing import Any

from django.core.exceptions import ValidationError

from apps.risk.back_tests.models import BackTest
from apps.risk.back_tests.selectors import back_tests
from apps.risk.back_tests.services import UNDER_WAY
from apps.risk.rules.dry_runs import dry_run, facts_of_stored
from apps.risk.rules.fields import fields
from apps.risk.rules.form import back_test_form
from apps.risk.rules.language.syntax import Type, lists, names
from apps.risk.rules.models import RiskRule
from apps.risk.rules.selectors import changes_of, differences
from apps.risk.rules.services import check_expression
from apps.risk.transactions.models import Transaction
from behavior.parsing import Invalid, parse_id
from console.charts import chart_data, chart_options
from console.figures import percent

HISTORY_SHOWN = 50
TYPE_WORDS = {
    Type.NUMBER: "number",
    Type.TEXT: "text",
    Type.BOOLEAN: "true or false",
    Type.KEY: "personal: in lists only",
}
GROUP_TITLES = {"transaction": "Transaction", "model": "Model", "velocity": "Velocity"}


def check_context(expression: str) -> dict[str, Any]:
    """What the live check says of an expression that is being written."""
    if not expression.strip():
        return {}
    try:
        node = check_expression(expression)
    except ValidationError as error:
        return {"problem": " ".join(error.messages)}
    return {"reads": sorted({*names(node), *(f"the list '{name}'" for name in lists(node))})}


def fields_context() -> dict[str, Any]:
    shown = [
        (title, [(field, TYPE_WORDS[field.type]) for field in fields() if field.group == group])
        for group, title in GROUP_TITLES.items()
    ]
    return {"field_groups": shown}


def rule_context(rule: RiskRule) -> dict[str, Any]:
    return {
        "rule": rule,
        "history": [(change, differences(change)) for change in changes_of(rule.id)[:HISTORY_SHOWN]],
        "back_test_form": back_test_form(),
        **_back_test_context(newest_back_test(rule)),
    }


def dry_run_context(rule: RiskRule, transaction_id: str) -> dict[str, Any]:
    """The rule as it is saved on one stored transaction, with the value of each part; nothing is recorded."""
    if not transaction_id.strip():
        return {}
    asked: dict[str, Any] = {"transaction_asked": transaction_id}
    try:
        found = Transaction.objects.filter(transaction_id=parse_id(transaction_id)).first()
        if found is None:
            return asked | {"dry_run_problem": "There is no transaction with this id."}
        return asked | {"dry_run": dry_run(rule.expression, facts_of_stored(found))}
    except Invalid as error:
        return asked | {"dry_run_problem": f"The id {error.message}."}
    except ValidationError as error:
        return asked | {"dry_run_problem": " ".join(error.messages)}


def newest_back_test(rule: RiskRule) -> BackTest | None:
    return back_tests().filter(rule=rule).first()


def is_under_way(back_test: BackTest | None) -> bool:
    return back_test is not None and back_test.status in UNDER_WAY


def _back_test_context(back_test: BackTest | None) -> dict[str, Any]:
    context: dict[str, Any] = {"back_test": back_test, "back_test_runs": is_under_way(back_test)}
    if back_test is None or not back_test.report:
        return context
    report = back_test.report
    return context | {
        "report": report,
        "shares": [(words, percent(report[name], 1)) for name, words in SHARES.items()],
        "immature": sum(not day["mature"] for day in report["days"]),
        "chart": _chart(report["days"]),
    }


SHARES = {
    "precision": "Precision",
    "recall": "Recall",
    "amount_recall": "Amount caught",
}


def _chart(days: list[dict[str, Any]]) -> dict[str, str]:
    series = {
        "Alerts": [day["alerts"] for day in days],
        "Known frauds": [day["frauds"] if day["mature"] else None for day in days],
        "Caught": [day["caught"] if day["mature"] else None for day in days],
    }
    return {
        "title": "Alerts, known frauds and those caught, by day",
        "data": chart_data([day["day"] for day in days], series),
        "options": chart_options(x="Day (UTC)", y="Transactions", legend=True),
    }
