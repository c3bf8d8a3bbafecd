"""Addresses of the console process."""

from django.urls import path
from django.views.generic import RedirectView

from console.invitations import invitation
from console.site import site
from console.views import healthz, switch_tenant

handler403 = "console.views.forbidden"
handler404 = "console.views.not_found"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("healthz", healthz, name="healthz"),
    path("tenant/", switch_tenant, name="switch_tenant"),
    path("invitation/", invitation, name="invitation"),
    path("console/", site.urls),
]
