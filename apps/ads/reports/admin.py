"""Ads > Reports, Ledger and Auctions in the console."""

from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse

from apps.ads.campaigns.view import money
from apps.ads.models import AdDecision, AdReport, Reconciliation
from apps.ads.reports.api import csv_of
from apps.ads.reports.view import auction_context, ledger_context, report_context, report_rows
from apps.ads.settings import APPLICATION, obtain_scenario
from console.base import LogAdmin
from console.page_admin import PageAdmin
from console.search import DecisionField
from console.site import register
from console.theme import display
from decisions.models import Decision
from decisions.selectors import get_decision


@register(AdReport)
class AdReportAdmin(PageAdmin):
    list_title = "Ad report"
    template = "ads/report.html"

    def page_context(self, request: HttpRequest) -> dict[str, Any]:
        return report_context(request.GET.get("by"), request.GET.get("days"))

    def get_urls(self) -> list[URLPattern]:
        export = path("export/", self.admin_site.admin_view(self.export_view), name="ads_adreport_export")
        settings = path("settings/", self.admin_site.admin_view(self.settings_view), name="ads_adreport_settings")
        return [export, settings, *super().get_urls()]

    def settings_view(self, request: HttpRequest) -> HttpResponse:
        """The settings are those of the one scenario of ads, which is made when it is first looked at."""
        return HttpResponseRedirect(reverse("admin:decisions_scenario_change", args=[obtain_scenario().pk]))

    def export_view(self, request: HttpRequest) -> HttpResponse:
        if not (self.has_view_permission(request) and self.has_analyst_permission(request)):
            raise PermissionDenied
        try:
            rows = report_rows(request.GET.get("by"), request.GET.get("days"))
        except ValidationError:
            # The page says why.
            return HttpResponseRedirect(f"{reverse('admin:ads_adreport_changelist')}?{request.GET.urlencode()}")
        return csv_of([row.to_dict() for row in rows])


@register(Reconciliation)
class ReconciliationAdmin(PageAdmin):
    list_title = "Ledger"
    template = "ads/ledger.html"

    def page_context(self, request: HttpRequest) -> dict[str, Any]:
        return ledger_context()


@register(AdDecision)
class AdDecisionAdmin(LogAdmin):
    list_title = "Auctions"
    list_display = ("decided_at", "scenario", "winner", "price", "no_fill", "ranked")
    list_filter = (DecisionField,)
    ordering = ("-decision_id",)
    fields = ("decision_id", "decided_at", "policy")
    readonly_fields = fields
    change_form_template = "ads/auction.html"
    empty_title = "No auctions yet"
    empty_text = "Every placement of POST /api/v1/ads/decisions shows here, with who took part and why each lost."

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).filter(application=APPLICATION)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> AdDecision | None:
        try:
            found = get_decision(AdDecision._meta.pk.to_python(object_id))
        except (Decision.DoesNotExist, ValidationError, ValueError):
            return None
        return self.get_queryset(request).filter(decision_id=found.decision_id, decided_at=found.decided_at).first()

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        decision = self.get_object(request, object_id) if object_id else None
        context = extra_context or {}
        if decision is not None:
            context |= auction_context(decision)
        return super().changeform_view(request, object_id, form_url, context)

    @display(description="Won by")
    def winner(self, decision: AdDecision) -> str:
        won = (each["name"] for each in decision.request.get("participants", ()) if each["lost"] is None)
        return next(won, "—")

    @display(description="Price")
    def price(self, decision: AdDecision) -> str:
        micros = decision.request.get("price_micros")
        return "—" if micros is None else money(micros, decision.request["currency"])

    @display(description="Not filled", empty_value="—")
    def no_fill(self, decision: AdDecision) -> str | None:
        return decision.request.get("no_fill")

    @display(description="Competed")
    def ranked(self, decision: AdDecision) -> int:
        return decision.request.get("ranked", 0)
