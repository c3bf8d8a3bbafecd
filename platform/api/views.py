"""Pages of the API process that belong to no resource."""

from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from drf_spectacular.renderers import OpenApiJsonRenderer
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularJSONAPIView
from rest_framework.request import Request

from api.errors import Problem


def landing(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect("/api/v1/docs")


class SchemaView(SpectacularJSONAPIView):
    """The document is the same for everybody and long in the making, so a process makes it once."""

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        return HttpResponse(_document(), content_type=request.accepted_renderer.media_type)


@cache
def _document() -> bytes:
    document = SpectacularJSONAPIView.generator_class().get_schema(public=True)
    written: bytes = OpenApiJsonRenderer().render(document)
    return written


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return Problem(400, "bad_request", "the request could not be read").response(request)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return Problem(404, "not_found", "there is nothing at this address; see /api/v1/docs").response(request)


def server_error(request: HttpRequest) -> HttpResponse:
    return Problem(500, "internal_error", "this is our mistake; report the request_id if it persists").response(request)
