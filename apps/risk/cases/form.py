"""What the dialogs of a case's buttons ask for."""

from django import forms

from apps.risk.cases.services import LONGEST_NOTE
from console.theme import (
    BaseDialogForm,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
)
from tenancy.models import Membership, Role
from tenancy.scope import current_tenant_id


def _nobody_and_members() -> list[tuple[str, str]]:
    """Those who may decide on cases; named as in a case's history and as the daily e-mail looks for them."""
    deciding = [role for role in Role if role.rank >= Role.OPERATOR.rank]
    members = Membership.objects.filter(tenant_id=current_tenant_id(), role__in=deciding, user__is_active=True)
    names = members.order_by("user__username").values_list("user__username", flat=True)
    return [("", "nobody: back to the queue"), *((name, name) for name in names)]


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
