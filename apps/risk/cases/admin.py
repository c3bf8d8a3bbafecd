"""Cases in the console: the queue with its clock, and the page of a case with all that a decision needs."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.risk.cases import services
from apps.risk.cases.alerts_admin import AlertDecisions, telling
from apps.risk.cases.form import AssignForm, MergeForm, NoteForm
from apps.risk.cases.merging import merge
from apps.risk.cases.models import Case, CaseStatus
from apps.risk.cases.page import SEVERITY_COLOURS, STATUS_COLOURS, case_context, clock_of
from apps.risk.cases.queue_fields import (
    ClockField,
    CustomerField,
    NumberField,
    SeverityField,
    StatusField,
    TransactionField,
    WhoseField,
)
from apps.risk.cases.selectors import cases, workload
from console.base import go_to
from console.rights import actor_name
from console.site import register
from console.theme import ActionVariant, BaseDialogForm, action, display
from tenancy.secrets import public_subject_id

# The buttons of a status, by the status that each leads to.
BUTTONS = {
    "review": CaseStatus.IN_REVIEW,
    "escalate": CaseStatus.ESCALATED,
    "confirm": CaseStatus.CONFIRMED,
    "release": CaseStatus.FALSE_ALARM,
}
# What one request can move well within its time.
MOST_AT_ONCE = 200


@register(Case)
class CaseAdmin(AlertDecisions):
    list_title = "Cases"
    list_display = (
        *("number_label", "status_label", "severity_label", "subject", "alerts_label", "clock", "assignee_label"),
        "opened_at",
    )
    list_filter = (NumberField, TransactionField, CustomerField, StatusField, SeverityField, WhoseField, ClockField)
    search_fields = ("assignee",)
    search_help_text = "Assignee"
    actions = ("take_selected", "escalate_selected", "confirm_selected", "release_selected")
    actions_detail = (
        *(
            "take",
            "assign",
            "review",
            "escalate",
            "confirm",
            "release",
            "approve_release",
            "refuse_release",
            "merge_other",
            "note",
        ),
    )
    change_form_template = "risk/case.html"
    change_list_template = "risk/cases.html"
    sortable_by = ()
    empty_title = "No cases"
    empty_text = "A case opens when an assessment asks for review, declines, or a rule raises an alert."

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return cases().filter(pk__in=super().get_queryset(request))

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        return ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ()

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        case = self.get_object(request, str(object_id))
        wanted = _buttons(case) if case else set()
        return [
            each
            for each in super().get_actions_detail(request, object_id)
            if each.action_name.removeprefix("risk_case_") in wanted
        ]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return super().changelist_view(request, (extra_context or {}) | {"workload": workload()})

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        case = self.get_object(request, object_id) if object_id else None
        context = extra_context or {}
        if case is not None and request.method == "GET":
            context |= case_context(case, request.GET.get("alerts", "1"))
            context["may_decide"] = case.closed_at is None and self.has_operator_permission(request)
        page = super().changeform_view(request, object_id, form_url, context)
        if case is not None and isinstance(page, TemplateResponse):
            # A button's dialog keeps its address, so what it is asked for is judged by the case as the page showed it.
            for button in (page.context_data or {})["actions_detail"]:
                button["path"] += f"?version={case.version}"
        return page

    @display(description="Case", ordering="number")
    def number_label(self, case: Case) -> str:
        return f"Case {case.number}"

    @display(description="Status", label=STATUS_COLOURS)
    def status_label(self, case: Case) -> str:
        return case.get_status_display()

    @display(description="Severity", label=SEVERITY_COLOURS)
    def severity_label(self, case: Case) -> str:
        return case.get_severity_display()

    @display(description="Subject")
    def subject(self, case: Case) -> SafeString:
        return format_html('<span class="console-mono">{}</span>', public_subject_id(bytes(case.subject_key)))

    @display(description="Alerts")
    def alerts_label(self, case: Case) -> int:
        return case.alert_count

    @display(description="Due")
    def clock(self, case: Case) -> str:
        return clock_of(case)

    @display(description="Assignee")
    def assignee_label(self, case: Case) -> str:
        return case.assignee or "nobody"

    def changed(
        self, request: HttpRequest, object_id: str, words: str, change: Callable[..., object], **values: Any
    ) -> HttpResponse:
        """Do something with the case as it was seen, and come back to it with what became of that."""
        case = self.row(request, object_id)
        with telling(request, words):
            change(case_id=case.id, version=seen_version(request), actor=actor_name(request), **values)
        return go_to(self.page_of(case))

    def move(self, request: HttpRequest, object_id: str, to: str, words: str) -> HttpResponse:
        return self.changed(request, object_id, words, services.move, to=to)

    @action(
        description="Take it",
        icon="person_add",
        permissions=["operator"],
        dialog={
            "title": "Take this case?",
            "description": "It is then yours to decide.",
            "form_class": None,
            "form_submit_text": "Take it",
        },
    )
    def take(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        return self.changed(request, object_id, "The case is yours.", services.assign, assignee=actor_name(request))

    @action(
        description="Give to",
        icon="group",
        permissions=["operator"],
        dialog={
            "title": "Give this case to somebody?",
            "description": "What nobody has is taken by whoever moves it next.",
            "form_class": AssignForm,
            "form_submit_text": "Give",
        },
    )
    def assign(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        assignee = form.cleaned_data["assignee"]
        words = f"{assignee} has the case." if assignee else "Nobody has the case: it is back in the queue."
        return self.changed(request, object_id, words, services.assign, assignee=assignee)

    @action(
        description="Start review",
        icon="search",
        permissions=["operator"],
        dialog={
            "title": "Start the review?",
            "description": "Whoever moves a case that nobody has takes it.",
            "form_class": None,
            "form_submit_text": "Start review",
        },
    )
    def review(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        return self.move(request, object_id, CaseStatus.IN_REVIEW, "The case is in review.")

    @action(
        description="Escalate",
        icon="priority_high",
        permissions=["operator"],
        dialog={
            "title": "Escalate this case?",
            "description": "It stays under way; who has it stays too.",
            "form_class": None,
            "form_submit_text": "Escalate",
        },
    )
    def escalate(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        return self.move(request, object_id, CaseStatus.ESCALATED, "The case is escalated.")

    @action(
        description="Confirm fraud",
        icon="gpp_bad",
        permissions=["operator"],
        variant=ActionVariant.DANGER,
        dialog={
            "title": "Confirm this as fraud?",
            "description": "All alerted transactions of the case are labelled as fraud, known from now.",
            "form_class": None,
            "form_submit_text": "Confirm fraud",
        },
    )
    def confirm(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        return self.move(request, object_id, CaseStatus.CONFIRMED, "Confirmed; its transactions are labelled as fraud.")

    @action(
        description="False alarm",
        icon="verified_user",
        permissions=["operator"],
        dialog={
            "title": "Close this as a false alarm?",
            "description": "A case of high or critical severity waits for somebody else to approve.",
            "form_class": None,
            "form_submit_text": "False alarm",
        },
    )
    def release(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        severe = self.row(request, object_id).severity in services.FOUR_EYES
        words = "Somebody else must approve the release." if severe else "Closed as a false alarm."
        return self.move(request, object_id, CaseStatus.FALSE_ALARM, words)

    @action(
        description="Approve release",
        icon="done_all",
        permissions=["operator"],
        variant=ActionVariant.PRIMARY,
        dialog={
            "title": "Approve the release?",
            "description": "The case is closed as a false alarm, and its transactions are labelled so.",
            "form_class": None,
            "form_submit_text": "Approve release",
        },
    )
    def approve_release(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        return self.decide(request, object_id, approve=True, words="Released: closed as a false alarm.")

    @action(
        description="Refuse release",
        icon="block",
        permissions=["operator"],
        dialog={
            "title": "Refuse the release?",
            "description": "The case stays as it is.",
            "form_class": None,
            "form_submit_text": "Refuse release",
        },
    )
    def refuse_release(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        return self.decide(request, object_id, approve=False, words="The release is refused.")

    def decide(self, request: HttpRequest, object_id: str, *, approve: bool, words: str) -> HttpResponse:
        return self.changed(request, object_id, words, services.decide_release, approve=approve)

    @action(
        description="Merge",
        icon="merge",
        permissions=["operator"],
        dialog={
            "title": "Merge another case into this one?",
            "description": "Its alerts come here, and it is closed as merged. This cannot be undone.",
            "form_class": MergeForm,
            "form_submit_text": "Merge",
        },
    )
    def merge_other(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        number = form.cleaned_data["number"]

        def bring_over(**seen: Any) -> None:
            other = Case.objects.filter(number=number).first()
            if other is None:
                raise ValidationError(f"There is no case {number}.")
            merge(other_id=other.id, **seen)

        return self.changed(request, object_id, f"The alerts of case {number} are in this case now.", bring_over)

    @action(
        description="Note",
        icon="edit_note",
        permissions=["operator"],
        dialog={
            "title": "Add a note",
            "description": "Notes stay as they are written.",
            "form_class": NoteForm,
            "form_submit_text": "Add",
        },
    )
    def note(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        case = self.row(request, object_id)
        with telling(request, "The note is added."):
            services.add_note(case_id=case.id, note=form.cleaned_data["note"], actor=actor_name(request))
        return go_to(self.page_of(case))

    @action(description="Take the selected cases", permissions=["operator"])
    def take_selected(self, request: HttpRequest, queryset: QuerySet[Case]) -> None:
        self.change_selected(request, queryset, "cases are yours.", services.assign, assignee=actor_name(request))

    @action(description="Escalate the selected cases", permissions=["operator"])
    def escalate_selected(self, request: HttpRequest, queryset: QuerySet[Case]) -> None:
        self.move_selected(request, queryset, CaseStatus.ESCALATED, "cases are escalated.")

    @action(description="Confirm fraud in the selected cases", permissions=["operator"])
    def confirm_selected(self, request: HttpRequest, queryset: QuerySet[Case]) -> None:
        self.move_selected(request, queryset, CaseStatus.CONFIRMED, "cases are confirmed as fraud.")

    @action(description="Close the selected cases as false alarms", permissions=["operator"])
    def release_selected(self, request: HttpRequest, queryset: QuerySet[Case]) -> None:
        words = "cases are closed as false alarms, or wait for somebody else to approve that."
        self.move_selected(request, queryset, CaseStatus.FALSE_ALARM, words)

    def move_selected(self, request: HttpRequest, queryset: QuerySet[Case], to: str, words: str) -> None:
        self.change_selected(request, queryset, words, services.move, to=to)

    def change_selected(
        self, request: HttpRequest, queryset: QuerySet[Case], words: str, change: Callable[..., Case], **values: Any
    ) -> None:
        case_ids = list(queryset.values_list("id", flat=True)[: MOST_AT_ONCE + 1])
        if len(case_ids) > MOST_AT_ONCE:
            messages.error(request, f"More than {MOST_AT_ONCE} cases are too many at once; narrow the list first.")
            return
        changed, problems = services.change_many(case_ids=case_ids, change=change, actor=actor_name(request), **values)
        if changed:
            messages.success(request, f"{changed} {words}")
        if problems:
            messages.error(request, " ".join(dict.fromkeys(problems)))


def seen_version(request: HttpRequest) -> int:
    """The version of the case that the page of the pressed button showed. Raises ValidationError without one."""
    version = request.GET.get("version", "")
    if not version.isdecimal():
        raise ValidationError("Press the button on the page of the case: it says which version of the case you saw.")
    return int(version)


def _buttons(case: Case) -> set[str]:
    if case.release_asked_by:
        return {"approve_release", "refuse_release", "note", "take", "assign", "escalate"}
    moves = services.MOVES[case.status]
    wanted = {name for name, status in BUTTONS.items() if status in moves} | {"note"}
    return wanted if case.closed_at else wanted | {"take", "assign", "merge_other"}
