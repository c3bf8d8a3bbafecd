"""The page behind an invitation's link, at which a person takes up the membership that it is bound to.

Whoever invites holds the link too. So it gives nothing by itself that is somebody else's: an account that has a
password must be logged in, and a first password is set here alone for an account that no business relies on yet.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.forms import SetPasswordForm
from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.core import signing
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse

from console.middleware import SESSION_KEY
from console.site import site
from tenancy.models import Membership
from tenancy.scope import set_local, tenant_scope
from tenancy.services import accept_membership

LINK_LIFE = timedelta(days=3)
SALT = "console.invitation"


def invitation_path(membership: Membership) -> str:
    """Address at which the invited person accepts; it works once and for three days, as long as the offer stands."""
    offer = [membership.tenant_id, str(membership.id), membership.user_id]
    return f"{reverse('invitation')}?{urlencode({'token': signing.dumps(offer, salt=SALT)})}"


def invitation(request: HttpRequest) -> HttpResponse:
    """Shows the offer to the person logged in, or asks for a login or a first password; a POST accepts it."""
    with _offered(request.GET.get("token", "")) as membership:
        if membership is None:
            return _page(request, None, "ended")
        if request.user.is_authenticated:
            return _accept_logged_in(request, membership)
        if membership.user.has_usable_password():
            return redirect_to_login(request.get_full_path(), reverse("admin:login"))
        if _is_relied_on(membership.user):
            return _page(request, membership, "no_password")
        return _accept_with_first_password(request, membership)


@contextmanager
def _offered(token: str) -> Iterator[Membership | None]:
    """The membership that waits behind a link, in the tenant's scope and as its person; the account stays locked, so
    that of two links at the same moment one sets the password. None for a link that is forged, old or used."""
    try:
        tenant_id, membership_id, user_id = signing.loads(token, salt=SALT, max_age=LINK_LIFE)
    except signing.BadSignature:
        yield None
        return
    with transaction.atomic():
        set_local("app.operator", str(user_id))
        with tenant_scope(tenant_id):
            list(User.objects.select_for_update().filter(id=user_id))
            offers = Membership.objects.filter(
                id=UUID(membership_id), tenant_id=tenant_id, user_id=user_id, accepted_at=None, tenant__is_active=True
            )
            yield offers.select_related("tenant", "user").first()


def _is_relied_on(user: User) -> bool:
    """Whether the account has rights already, which its first password would open."""
    return Membership.objects.filter(user=user, accepted_at__isnull=False).exists()


def _accept_logged_in(request: HttpRequest, membership: Membership) -> HttpResponse:
    if request.user.pk != membership.user_id:
        return _page(request, membership, "somebody_else")
    if request.method != "POST":
        return _page(request, membership, "join")
    accept_membership(membership_id=membership.id)
    request.session[SESSION_KEY] = membership.tenant_id
    messages.success(request, f"You are a member of {membership.tenant.name} now.")
    return HttpResponseRedirect(reverse("admin:index"))


def _accept_with_first_password(request: HttpRequest, membership: Membership) -> HttpResponse:
    form = SetPasswordForm(membership.user, request.POST or None)
    if not form.is_valid():
        return _page(request, membership, "set_password", form=form)
    form.save()
    accept_membership(membership_id=membership.id)
    return HttpResponseRedirect(reverse("admin:login"))


def _page(request: HttpRequest, membership: Membership | None, step: str, **values: Any) -> HttpResponse:
    context = site.each_context(request) | {"membership": membership, "step": step} | values
    response = render(request, "console/invitation.html", context)
    response["Cache-Control"] = "no-store"
    return response
