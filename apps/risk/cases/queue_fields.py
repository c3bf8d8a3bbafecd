"""Inputs of the search bar above the queue."""

from typing import Any

from django.db.models import Q
from django.http import HttpRequest

from apps.risk.cases.models import Alert, CaseStatus
from apps.risk.cases.selectors import late
from apps.risk.rules.models import RiskSeverity
from console.rights import actor_name
from console.search import SearchField, SubjectField, choice_field

StatusField = choice_field(title="Status", parameter="status", column="status", options=tuple(CaseStatus.choices))
SeverityField = choice_field(
    title="Severity", parameter="severity", column="severity", options=tuple(RiskSeverity.choices)
)


class NumberField(SearchField):
    """As e-mails, webhooks and the queue name a case: `17` or `Case 17`."""

    title = "Case"
    parameter_name = "number"

    def condition(self, text: str) -> Q:
        number = text.lower().removeprefix("case").strip()
        if not number.isdecimal():
            raise ValueError("give the number of a case, such as 17")
        return Q(number=int(number))


class TransactionField(SearchField):
    """The case that has the alert of a transaction."""

    title = "Transaction id"
    parameter_name = "transaction"

    def condition(self, text: str) -> Q:
        return Q(id__in=Alert.objects.filter(transaction_id=text).values("case_id"))


class CustomerField(SubjectField):
    title = "Customer id"
    time = "opened_at"


class WhoseField(SearchField):
    title = "Whose"
    parameter_name = "whose"
    kind = "select"
    options = (("mine", "Mine"), ("nobody", "Nobody's"))

    def __init__(self, request: HttpRequest, *args: Any) -> None:
        self.operator = actor_name(request)
        super().__init__(request, *args)

    def condition(self, text: str) -> Q:
        return Q(assignee=self.operator if text == "mine" else "")


class ClockField(SearchField):
    title = "Due"
    parameter_name = "due"
    kind = "select"
    options = (("late", "Overdue"),)

    def condition(self, text: str) -> Q:
        return late()
