"""One's own daily e-mail about the desk, in the console."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from apps.risk.notifications import services
from apps.risk.notifications.models import Digest
from console.base import TenantModelAdmin, go_to
from console.forms import ServiceForm
from console.rights import actor_name, membership_of
from console.site import register
from console.theme import BaseDialogForm, UnfoldAdminSelectWidget, action, display
from tenancy.models import Role

HOURS = [(hour, f"{hour:02d}:00") for hour in range(24)]


class DigestForm(ServiceForm):
    request: HttpRequest  # set by the page
    hour = forms.TypedChoiceField(
        choices=HOURS, coerce=int, initial=7, widget=UnfoldAdminSelectWidget, label="From (UTC)"
    )

    class Meta:
        model = Digest
        fields = ("hour",)

    def write(self) -> Digest:
        membership = membership_of(self.request)
        if membership is None:
            raise ValidationError("You are no member of this business.")
        return services.subscribe(membership=membership, email=actor_name(self.request), hour=self.cleaned_data["hour"])


@register(Digest)
class DigestAdmin(TenantModelAdmin):
    """Each operator sees, changes and ends only the own one."""

    list_title = "Daily e-mail"
    who_sees = who_adds = who_changes = Role.OPERATOR
    form = DigestForm
    list_display = ("email", "hour_label", "sent_on")
    fields = ("hour",)
    actions = None
    actions_detail = ("end",)
    empty_title = "No daily e-mail"
    empty_text = "Each day at an hour that you choose: how much waits at the desk, what is late, and where to begin."

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).filter(membership=membership_of(request))

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        form.request = request
        return form

    def save_model(self, request: HttpRequest, obj: Digest, form: forms.ModelForm, change: bool) -> None:
        """The form has called the service."""

    @display(description="From (UTC)")
    def hour_label(self, digest: Digest) -> str:
        return f"{digest.hour:02d}:00"

    @action(
        description="End it",
        icon="unsubscribe",
        permissions=["operator"],
        dialog={
            "title": "No more e-mail?",
            "description": "You can have it again at any time.",
            "form_class": None,
            "form_submit_text": "End it",
        },
    )
    def end(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        services.unsubscribe(digest_id=self.row(request, object_id).id)
        messages.success(request, "You get no more daily e-mail of this desk.")
        return go_to(self.list_page())
