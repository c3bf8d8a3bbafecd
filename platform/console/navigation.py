"""What the sidebar shows: the chosen tenant, the tenants to choose from, the pages that the role may see."""

from typing import Any

from django.http import HttpRequest
from django.urls import resolve

from console.rights import membership_of


def header(request: HttpRequest) -> str:
    membership = membership_of(request)
    return membership.tenant.name if membership else "Sequitur"


def subheader(request: HttpRequest) -> str:
    membership = membership_of(request)
    return f"Sequitur · {membership.role}" if membership else ""


def tenants(request: HttpRequest) -> list[dict[str, Any]]:
    """Makes the theme open its dropdown; our own template fills it with forms."""
    return [{"title": one.tenant.name, "link": ""} for one in getattr(request, "memberships", [])]


def may_open(request: HttpRequest, link: Any) -> bool:
    """Whether the operator's role may see the list page at this address."""
    page = getattr(resolve(str(link)).func, "model_admin", None)
    return page is None or page.has_view_permission(request)
