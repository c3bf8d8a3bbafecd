"""Figures of the API's processes for Prometheus: no tenant, no key, no path with ids in it."""

import os
from functools import cache

from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

REQUESTS = Counter("http_requests", "Requests by method, route and status", ["method", "route", "status"])
SECONDS = Histogram(
    "http_request_seconds",
    "Time to an answer by method and route",
    ["method", "route"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0),
)
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


def observe_request(request: HttpRequest, response: HttpResponse, seconds: float) -> None:
    method = request.method if request.method in METHODS else "other"
    seconds_of_route, requests = _figures(method, route_of(request), response.status_code)
    seconds_of_route.observe(seconds)
    requests.inc()


@cache
def _figures(method: str, route: str, status: int) -> tuple[Histogram, Counter]:
    """Looked up once for each of the few combinations, and not with every request."""
    return SECONDS.labels(method, route), REQUESTS.labels(method, route, str(status))


def route_of(request: HttpRequest) -> str:
    """`api/v1/items/<path:item_id>`; `none` for what was refused before it was routed."""
    return str(request.resolver_match.route) if request.resolver_match else "none"


def metrics(request: HttpRequest) -> HttpResponse:
    """Of all processes of this web server together; of this one where it is the only one."""
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
