"""Advertisers, campaigns, flights, creatives and placements in the console, with their history and the review."""

from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse

from apps.ads.campaigns import services
from apps.ads.campaigns.form import AdObjectForm, ApprovalForm, RejectionForm
from apps.ads.campaigns.models import (
    BUSINESS,
    AdObject,
    Advertiser,
    Campaign,
    Creative,
    Flight,
    FlightStatus,
    Placement,
    ReviewStatus,
)
from apps.ads.campaigns.selectors import changes_of
from apps.ads.campaigns.subjects_form import OwnPeopleForm
from apps.ads.campaigns.view import flight_context, money, object_context
from apps.ads.forecasts.view import forecast_context
from apps.ads.tracking.own import own_subjects, put_own_subjects
from console.base import TenantModelAdmin, go_to
from console.rights import actor_name, has_role
from console.search import choice_field
from console.site import register
from console.theme import ActionVariant, BaseDialogForm, action, display
from tenancy.models import Membership, Role

STATUS_COLOURS = {"Draft": None, "Live": "success", "Paused": "warning"}
REVIEW_COLOURS = {"Pending": "warning", "Approved": "success", "Rejected": "danger"}


class AdObjectAdmin(TenantModelAdmin):
    """Base of the five pages."""

    model: type[AdObject]
    who_adds = who_changes = Role.OPERATOR
    form = AdObjectForm
    search_fields: tuple[str, ...] = ("name",)
    search_help_text = "Name"
    ordering: tuple[str, ...] = ("name",)
    actions = None
    change_form_template = "ads/object.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """The list leaves out what was archived; its page stays."""
        place = request.resolver_match
        on_a_page = place is not None and "object_id" in place.kwargs
        found = super().get_queryset(request)
        return found if on_a_page else found.filter(archived_at=None)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return has_role(request, Role.OPERATOR) and (obj is None or obj.archived_at is None)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        fixed = [name.removesuffix("_id") for name in services.FIXED[self.model]]
        return [*fixed, *services.FIELDS[self.model]]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        if obj is None:
            return []
        fields = self.get_fields(request, obj)
        return fields[: len(services.FIXED[self.model])] if self.has_change_permission(request, obj) else fields

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = self.get_fields(request, obj)
        seen = ["seen_version"] if obj is not None and self.has_change_permission(request, obj) else []
        return [(None, {"fields": [*fields, *seen]})]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        form.actor = actor_name(request)
        return form

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        found = self.get_object(request, object_id) if object_id else None
        context = extra_context or {}
        if found is not None and request.method == "GET":
            context |= object_context(found)
        return super().changeform_view(request, object_id, form_url, context)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        found = self.get_object(request, str(object_id))
        wanted = self.buttons(found) if found and not found.archived_at else set()
        return [
            each for each in super().get_actions_detail(request, object_id) if each.action_name.split("_")[-1] in wanted
        ]

    def buttons(self, found: Any) -> set[str]:
        """Which buttons make sense."""
        return {"archive"}

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """The form has called the service."""

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        messages.success(request, f"The {self.opts.verbose_name} is made.")
        return HttpResponseRedirect(self.page_of(obj))

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        messages.success(request, f"The {self.opts.verbose_name} is saved. Decisions follow within two seconds.")
        return HttpResponseRedirect(self.page_of(obj))

    @action(
        description="Archive",
        icon="archive",
        permissions=["operator"],
        variant=ActionVariant.DANGER,
        dialog={
            "title": "Archive this for good?",
            "description": "It serves nothing any more. Its history and its figures stay.",
            "form_class": None,
            "form_submit_text": "Archive",
        },
    )
    def archive(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        return self.act(
            request,
            object_id,
            "It is archived; this page keeps its history.",
            lambda found: services.archive(self.model, object_id=found.id, actor=actor_name(request)),
        )

    def act(self, request: HttpRequest, object_id: str, done: str, do: Callable[[Any], Any]) -> HttpResponse:
        found = self.row(request, object_id)
        try:
            do(found)
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
        except services.Refused as error:
            messages.error(request, str(error))
        else:
            messages.success(request, done)
        return go_to(self.page_of(found))


@register(Advertiser)
class AdvertiserAdmin(AdObjectAdmin):
    list_title = "Advertisers"
    list_display = ("name", "currency", "updated_by", "updated_at")
    actions_detail = ("people", "archive")
    empty_title = "No advertisers yet"
    empty_text = "An advertiser has campaigns; all its bids and budgets are in one currency."

    def buttons(self, found: Any) -> set[str]:
        return {"people", "archive"}

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        found = self.get_object(request, object_id) if object_id else None
        context = extra_context or {}
        if found is not None and request.method == "GET":
            counts = (own_subjects(found.id).count(), own_subjects(None).count())
            newest = changes_of(BUSINESS).first()
            of_business = f"{counts[1]}, by {newest.actor}" if newest else counts[1]
            context |= {"account": [("Own people", counts[0]), ("Own people of the business", of_business)]}
        return super().changeform_view(request, object_id, form_url, context)

    @action(
        description="Own people",
        icon="badge",
        permissions=["operator"],
        dialog={
            "title": "Whose clicks count for nothing?",
            "description": "What these subjects see and click is never billed. Ids are kept as pseudonyms.",
            "form_class": OwnPeopleForm,
            "form_submit_text": "Replace the list",
        },
    )
    def people(self, request: HttpRequest, form: OwnPeopleForm, object_id: str) -> HttpResponse:
        advertiser = self.row(request, object_id)
        subjects = form.subjects()
        if form.cleaned_data["members"]:
            emails = Membership.objects.filter(tenant_id=advertiser.tenant_id).values_list("user__email", flat=True)
            subjects += [{"user_id": email} for email in emails if email]
        of = None if form.cleaned_data["whose"] == OwnPeopleForm.BUSINESS else advertiser.id
        try:
            named = put_own_subjects(advertiser_id=of, subjects=subjects, actor=actor_name(request))
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
        except services.Refused as error:
            messages.error(request, str(error))
        else:
            messages.success(request, f"What {named} subjects see and click counts for nothing.")
        return go_to(self.page_of(advertiser))


@register(Campaign)
class CampaignAdmin(AdObjectAdmin):
    list_title = "Campaigns"
    list_display = ("name", "advertiser", "updated_by", "updated_at")
    list_select_related = ("advertiser",)
    actions_detail = ("archive",)
    empty_title = "No campaigns yet"
    empty_text = "A campaign of an advertiser is made of flights, which have dates, bids and budgets."


@register(Flight)
class FlightAdmin(AdObjectAdmin):
    list_title = "Flights"
    list_display = ("name", "status_label", "campaign", "bid_kind", "bid", "budget", "starts_at", "ends_at")
    list_select_related = ("campaign__advertiser",)
    list_filter = (
        choice_field(title="Status", parameter="status", column="status", options=tuple(FlightStatus.choices)),
    )
    actions_detail = ("start", "pause", "forecast", "archive")
    empty_title = "No flights yet"
    empty_text = "A flight bids for placements between two dates, within a budget that is never exceeded."

    def buttons(self, found: Any) -> set[str]:
        return {"archive", "forecast", "pause" if found.status == FlightStatus.LIVE else "start"}

    @action(description="Forecast", icon="query_stats", permissions=["view"], url_path="forecast")
    def forecast(self, request: HttpRequest, object_id: str) -> HttpResponse:
        flight = self.row(request, object_id)
        context = {
            **self.admin_site.each_context(request),
            **self.frame(title=f"Forecast of {flight.name}"),
            **forecast_context(flight),
            "flight": flight,
            "flight_address": self.page_of(flight),
            "opts": self.opts,
        }
        return TemplateResponse(request, "ads/forecast.html", context)

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        found = self.get_object(request, object_id) if object_id else None
        context = extra_context or {}
        if found is not None and request.method == "GET":
            context |= flight_context(found)
        return super().changeform_view(request, object_id, form_url, context)

    @display(description="Status", ordering="status", label=STATUS_COLOURS)
    def status_label(self, flight: Flight) -> str:
        return flight.get_status_display()

    @display(description="Bid", ordering="bid_micros")
    def bid(self, flight: Flight) -> str:
        return money(flight.bid_micros, flight.campaign.advertiser.currency)

    @display(description="Budget", ordering="budget_micros")
    def budget(self, flight: Flight) -> str:
        return money(flight.budget_micros, flight.campaign.advertiser.currency)

    @action(
        description="Start",
        icon="play_arrow",
        permissions=["operator"],
        variant=ActionVariant.PRIMARY,
        dialog={
            "title": "Put this flight live?",
            "description": "It bids within two seconds, from its start until its end.",
            "form_class": None,
            "form_submit_text": "Start",
        },
    )
    def start(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        return self.put(request, object_id, FlightStatus.LIVE, "The flight is live.")

    @action(
        description="Pause",
        icon="pause",
        permissions=["operator"],
        dialog={
            "title": "Pause this flight?",
            "description": "It bids no more within two seconds. What was shown already may still be seen and paid for.",
            "form_class": None,
            "form_submit_text": "Pause",
        },
    )
    def pause(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        return self.put(request, object_id, FlightStatus.PAUSED, "The flight is paused.")

    def put(self, request: HttpRequest, object_id: str, status: FlightStatus, done: str) -> HttpResponse:
        return self.act(
            request,
            object_id,
            done,
            lambda found: services.set_status(flight_id=found.id, status=status, actor=actor_name(request)),
        )


@register(Creative)
class CreativeAdmin(AdObjectAdmin):
    list_title = "Creatives"
    list_display = ("name", "review_label", "flight", "width", "height", "click_url", "updated_by")
    list_select_related = ("flight",)
    list_filter = (
        choice_field(title="Review", parameter="review", column="review", options=tuple(ReviewStatus.choices)),
    )
    actions_detail = ("approve", "reject", "archive")
    empty_title = "No creatives yet"
    empty_text = "A creative is what is shown of a flight. It is shown once an operator has approved it."
    BUTTONS: ClassVar = {
        ReviewStatus.PENDING: {"approve", "reject", "archive"},
        ReviewStatus.APPROVED: {"reject", "archive"},
        ReviewStatus.REJECTED: {"approve", "archive"},
    }

    def buttons(self, found: Any) -> set[str]:
        return self.BUTTONS[ReviewStatus(found.review)]

    @display(description="Review", ordering="review", label=REVIEW_COLOURS)
    def review_label(self, creative: Creative) -> str:
        return creative.get_review_display()

    @action(
        description="Approve",
        icon="check",
        permissions=["operator"],
        variant=ActionVariant.PRIMARY,
        dialog={
            "title": "Approve this creative?",
            "description": "It may be shown as it is. If it is to show or lead elsewhere, it is reviewed anew.",
            "form_class": ApprovalForm,
            "form_submit_text": "Approve",
        },
    )
    def approve(self, request: HttpRequest, form: ApprovalForm, object_id: str) -> HttpResponse:
        version = form.cleaned_data["version"]
        return self.act(
            request,
            object_id,
            "The creative is approved.",
            lambda found: services.review(
                creative_id=found.id, approve=True, version=version, actor=actor_name(request)
            ),
        )

    @action(
        description="Reject",
        icon="block",
        permissions=["operator"],
        variant=ActionVariant.DANGER,
        dialog={
            "title": "Reject this creative?",
            "description": "It is shown no more within two seconds.",
            "form_class": RejectionForm,
            "form_submit_text": "Reject",
        },
    )
    def reject(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        note = form.cleaned_data["note"]
        return self.act(
            request,
            object_id,
            "The creative is rejected.",
            lambda found: services.review(creative_id=found.id, approve=False, note=note, actor=actor_name(request)),
        )


@register(Placement)
class PlacementAdmin(AdObjectAdmin):
    list_title = "Placements"
    list_display = ("key", "name", "width", "height", "floor", "auction")
    search_fields = ("name", "key")
    search_help_text = "Name or key"
    ordering = ("key",)
    actions_detail = ("archive",)
    empty_title = "No placements yet"
    empty_text = "A placement is a place on your pages where ads of one size may appear."

    @display(description="Floor", ordering="floor_micros")
    def floor(self, placement: Placement) -> str:
        return money(placement.floor_micros, placement.currency)
