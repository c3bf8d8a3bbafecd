"""Pages outside the admin site: change of tenant, sign of life."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST

from console.middleware import SESSION_KEY
from console.site import site


@require_POST
def switch_tenant(request: HttpRequest) -> HttpResponse:
    """Choose another of the operator's own tenants."""
    for membership in getattr(request, "memberships", []):
        if str(membership.tenant_id) == request.POST.get("tenant"):
            request.session[SESSION_KEY] = membership.tenant_id
            break
    else:
        messages.error(request, "You are not a member of this business.")
    # Not back to the page before: it may show a row that the other tenant does not have.
    return HttpResponseRedirect(reverse("admin:index"))


def healthz(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok", content_type="text/plain")


def locked_out(request: HttpRequest, credentials: Any = None) -> HttpResponse:
    """Answer to logins after too many failed ones."""
    return render(request, "console/locked_out.html", site.each_context(request), status=429)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _error_page(request, 403, "Not allowed", "Your role does not include this; an admin can change roles.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _error_page(request, 404, "Not found", "There is no such page, or it belongs to another business.")


def _error_page(request: HttpRequest, status: int, title: str, text: str) -> HttpResponse:
    context = site.each_context(request) | {"title": title, "text": text}
    return render(request, "console/error.html", context, status=status)
