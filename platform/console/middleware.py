"""One transaction per console request, in which the database knows the operator and the chosen tenant."""

from collections.abc import Callable

from django.db import OperationalError, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from psycopg.errors import QueryCanceled

from console.site import site
from tenancy.models import Membership
from tenancy.scope import set_local, tenant_scope
from tenancy.selectors import memberships_of

SESSION_KEY = "tenant_id"
STATEMENT_TIMEOUT = "20s"


class OperatorTenantMiddleware:
    """Runs the request of a logged-in operator inside the scope of the tenant chosen in the session.

    Sets `request.memberships` and `request.membership`. The session only says what the operator wishes to see: a
    tenant counts when a membership exists, and the policies of the console's database role ask for it once more. An
    answer with an error status rolls back everything that the request wrote.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.user.is_authenticated or request.path in _open_paths():
            return self.get_response(request)
        with transaction.atomic():
            set_local("app.operator", str(request.user.pk))
            set_local("statement_timeout", STATEMENT_TIMEOUT)
            memberships = sorted(memberships_of(request.user.pk), key=lambda one: one.tenant.name.casefold())
            if not memberships:
                return render(request, "console/no_membership.html", site.each_context(request), status=403)
            membership = _chosen(memberships, request.session.get(SESSION_KEY))
            request.memberships = memberships  # type: ignore[attr-defined]
            request.membership = membership  # type: ignore[attr-defined]
            with tenant_scope(membership.tenant.pk):
                response = self.get_response(request)
                if response.status_code >= 400:
                    transaction.set_rollback(True)
                return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, OperationalError) and isinstance(exception.__cause__, QueryCanceled):
            transaction.set_rollback(True)
            return HttpResponse(
                "This search took too long and was stopped. Narrow the time range or add a filter, then try again.",
                status=503,
                content_type="text/plain; charset=utf-8",
            )
        return None


def _open_paths() -> set[str]:
    """Pages that work without a tenant."""
    return {reverse("admin:login"), reverse("admin:logout"), reverse("healthz"), reverse("invitation")}


def _chosen(memberships: list[Membership], tenant_id: object) -> Membership:
    """The one of the session, or where none was chosen yet the oldest."""
    oldest = min(memberships, key=lambda one: one.pk)
    return next((one for one in memberships if one.tenant_id == tenant_id), oldest)
