"""Deciding on a single alert from the page of its case."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path

from apps.risk.cases.deciding import change_alert, decide_alert_release
from apps.risk.cases.models import Alert, Case, Outcome
from apps.risk.cases.page import OUTCOME_DECISIONS, RELEASE_DECISIONS
from apps.risk.cases.services import FOUR_EYES, CaseChanged, SameEyes
from console.base import TenantModelAdmin
from console.rights import actor_name


@contextmanager
def telling(request: HttpRequest, words: str) -> Iterator[None]:
    """Tell the operator `words`, or why what was wanted was refused."""
    try:
        yield
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    except (CaseChanged, SameEyes) as error:
        messages.error(request, str(error))
    else:
        messages.success(request, words)


class AlertDecisions(TenantModelAdmin):
    """The buttons beside each alert of a case; `version` is that of the case as it was shown."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.alert_view)
        return [path("<uuid:object_id>/alerts/<uuid:alert_id>/", view, name="risk_case_alert"), *super().get_urls()]

    def alert_view(self, request: HttpRequest, object_id: Any, alert_id: Any) -> HttpResponse:
        if request.method != "POST" or not self.has_operator_permission(request):
            raise PermissionDenied
        case: Case = self.row(request, str(object_id))
        alert = Alert.objects.filter(case=case, id=alert_id).first()
        if alert is None:
            raise Http404("the case has no such alert")
        decision, version = request.POST.get("decision", ""), request.POST.get("version", "")
        if decision not in OUTCOME_DECISIONS | RELEASE_DECISIONS or not version.isdecimal():
            messages.error(request, "Choose one of the alert's buttons.")
            return HttpResponseRedirect(self.page_of(case))
        seen: dict[str, Any] = {"alert_id": alert.id, "actor": actor_name(request), "version": int(version)}
        waits = decision == Outcome.FALSE_ALARM and alert.severity in FOUR_EYES
        kept = "somebody else must approve the release." if waits else "what you decided is kept."
        with telling(request, f"{alert.transaction_id}: {kept}"):
            if decision in OUTCOME_DECISIONS:
                change_alert(status=decision, **seen)
            else:
                decide_alert_release(approve=decision == "approve", **seen)
        return HttpResponseRedirect(self.page_of(case))
