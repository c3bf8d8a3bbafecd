"""Addresses of the API process."""

from django.urls import include, path
from drf_spectacular.views import SpectacularSwaggerView

from api.health import healthz, readyz
from api.metrics import metrics
from api.views import SchemaView, landing

urlpatterns = [
    path("", landing, name="landing"),
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    path("api/v1/schema", SchemaView.as_view(), name="schema"),
    path("api/v1/docs", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    # They are tried in this order at each request: first those that one look at the prefix rules out.
    path("api/v1/ads/", include("apps.ads.urls")),
    path("api/v1/risk/", include("apps.risk.urls")),
    path("api/v1/", include("api.urls")),
    path("api/v1/", include("apps.recommendation.urls")),
    path("api/v1/", include("apps.service.urls")),
]

handler400 = "api.views.bad_request"
handler404 = "api.views.not_found"
handler500 = "api.views.server_error"
