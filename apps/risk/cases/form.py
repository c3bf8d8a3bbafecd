"""What the dialogs of a case's buttons ask for."""

from django import forms

from apps.risk.cases.services import LONGEST_NOTE
from console.rights import operator_names
from console.theme import (
    BaseDialogForm,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
)


def _nobody_and_members() -> list[tuple[str, str]]:
    """Those who may decide on cases; named as in a case's history and as the daily e-mail looks for them."""
    return [("", "nobody: back to the queue"), *((name, name) for name in operator_names())]


class AssignForm(BaseDialogForm):
    assignee = forms.ChoiceField(
        choices=_nobody_and_members, required=False, widget=UnfoldAdminSelectWidget, label="Who has it from now on"
    )


class NoteForm(BaseDialogForm):
    note = forms.CharField(max_length=LONGEST_NOTE, widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}), label="Note")


class MergeForm(BaseDialogForm):
    number = forms.IntegerField(
        min_value=1, widget=UnfoldAdminIntegerFieldWidget, label="Number of the case whose alerts come here"
    )
