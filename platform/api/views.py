"""Pages of the API process that belong to no resource."""

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from api.errors import Problem


def landing(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect("/api/v1/docs")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return Problem(400, "bad_request", "the request could not be read").response(request)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return Problem(404, "not_found", "there is nothing at this address; see /api/v1/docs").response(request)


def server_error(request: HttpRequest) -> HttpResponse:
    return Problem(500, "internal_error", "this is our mistake; report the request_id if it persists").response(request)
