"""Addresses that browsers call without an API key: pixels and clicks. The token names the tenant and proves itself.

They are plain views, since nothing of REST framework applies: no key, no scope, no JSON.
"""

import base64
import ipaddress

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET

from api.errors import Problem
from api.throttling import is_within
from apps.ads.tracking.models import EventKind
from apps.ads.tracking.services import Outcome, UnknownDelivery, Visitor, record
from apps.ads.tracking.tokens import BadToken, claimed_tenant_id, read_token
from tenancy.models import Tenant
from tenancy.scope import tenant_scope

PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
LONGEST_AGENT = 500
TOO_MANY = Problem(
    429, "too_many_requests", "this address reports too much in one minute", headers={"Retry-After": "60"}
)


class Redirect(HttpResponse):
    """To the creative's stored address, which was checked when it was stored."""

    status_code = 302

    def __init__(self, url: str) -> None:
        super().__init__(headers={"Location": url, "Referrer-Policy": "no-referrer-when-downgrade"})


@csrf_exempt
@require_GET
@never_cache
def click(request: HttpRequest, token: str) -> HttpResponse:
    """Redirects also where the click counts for nothing, since a reader stands behind most of these."""
    outcome = _take(request, token, EventKind.CLICK)
    return outcome if isinstance(outcome, HttpResponse) else Redirect(outcome.click_url)


@csrf_exempt
@require_GET
@never_cache
def pixel(request: HttpRequest, token: str, kind: EventKind = EventKind.IMPRESSION) -> HttpResponse:
    outcome = _take(request, token, kind)
    if isinstance(outcome, HttpResponse):
        return outcome
    headers = {"X-Filtered": outcome.filtered} if outcome.filtered else {}
    return HttpResponse(PIXEL, content_type="image/gif", headers=headers)


def visitor_of(request: HttpRequest) -> Visitor:
    return Visitor(request.headers.get("User-Agent", "")[:LONGEST_AGENT], request.META.get("REMOTE_ADDR", ""))


def network_of(request: HttpRequest) -> str:
    """The address, of IPv6 its first 64 bits, since one household has all of those."""
    address = request.META.get("REMOTE_ADDR", "")
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    return str(ipaddress.ip_network(f"{found}/64", strict=False)) if found.version == 6 else str(found)


def _take(request: HttpRequest, raw: str, kind: EventKind) -> Outcome | HttpResponse:
    if not is_within(f"ads:{network_of(request)}", settings.AD_EVENTS_PER_MINUTE):
        return TOO_MANY.response(request)
    tenant_id = claimed_tenant_id(raw)
    if tenant_id is None:
        return _refusal(request)
    try:
        with tenant_scope(tenant_id):
            if not Tenant.objects.filter(id=tenant_id, is_active=True).exists():
                return _refusal(request)
            token = read_token(raw, tenant_id=tenant_id)
            return record(token, kind, visitor_of(request))
    except (BadToken, UnknownDelivery):
        return _refusal(request)


def _refusal(request: HttpRequest) -> HttpResponse:
    return Problem(404, "bad_token", "this address was not made here, or was changed on its way").response(request)
