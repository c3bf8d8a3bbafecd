"""Audiences in the console: from what they start, who is in them, and how well they are found."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse

from apps.ads.audiences.models import UNDER_WAY, Audience, SeedKind
from apps.ads.audiences.selectors import builds_of
from apps.ads.audiences.services import BuildUnderWay, put_seed, request_build
from apps.ads.audiences.view import audience_context
from apps.ads.campaigns.admin import AdObjectAdmin
from apps.ads.campaigns.services import Refused
from apps.ads.campaigns.subjects_form import SubjectsForm
from behavior.subjects import read_subject
from console.base import go_to
from console.rights import actor_name
from console.site import register
from console.theme import ActionVariant, BaseDialogForm, action


@register(Audience)
class AudienceAdmin(AdObjectAdmin):
    list_title = "Audiences"
    list_display = ("key", "name", "seed_kind", "seed_event", "share", "refresh", "updated_by")
    search_fields = ("name", "key")
    search_help_text = "Name or key"
    ordering = ("key",)
    actions_detail = ("build", "subjects", "archive")
    change_form_template = "ads/audience.html"
    empty_title = "No audiences yet"
    empty_text = "An audience is who is most like a seed, such as those who converted, by what they did."

    def buttons(self, found: Any) -> set[str]:
        return {"build", "archive"} | ({"subjects"} if found.seed_kind == SeedKind.LIST else set())

    def refreshes(self, request: HttpRequest, object_id: str | None) -> bool:
        return (
            object_id is not None and builds_of(self.row(request, object_id).id).filter(status__in=UNDER_WAY).exists()
        )

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        found = self.get_object(request, object_id) if object_id else None
        context = extra_context or {}
        if found is not None and request.method == "GET":
            context |= audience_context(found)
        return super().changeform_view(request, object_id, form_url, context)

    @action(
        description="Find members",
        icon="group_add",
        permissions=["operator"],
        variant=ActionVariant.PRIMARY,
        dialog={
            "title": "Find the members anew?",
            "description": "A worker reads what all subjects did. The members of the last time stay until it is done.",
            "form_class": None,
            "form_submit_text": "Find members",
        },
    )
    def build(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        audience = self.row(request, object_id)
        try:
            request_build(audience_id=audience.id, actor=actor_name(request))
        except (BuildUnderWay, Refused) as error:
            messages.error(request, str(error))
        else:
            messages.success(request, "A worker looks for the members.")
        return go_to(self.page_of(audience))

    @action(
        description="List of subjects",
        icon="list",
        permissions=["operator"],
        dialog={
            "title": "From whom does it start?",
            "description": "Ids are kept as pseudonyms. Those of whom nothing was ever received are left out.",
            "form_class": SubjectsForm,
            "form_submit_text": "Replace the list",
        },
    )
    def subjects(self, request: HttpRequest, form: SubjectsForm, object_id: str) -> HttpResponse:
        audience = self.row(request, object_id)
        named = [read_subject(each) for each in form.subjects()]
        try:
            known = put_seed(audience_id=audience.id, subjects=named, actor=actor_name(request))
        except Refused as error:
            messages.error(request, str(error))
        else:
            messages.success(request, f"{known} of {len(named)} subjects are known and make the list.")
        return go_to(self.page_of(audience))
