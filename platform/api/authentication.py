"""Who calls: the key was checked by ApiKeyMiddleware, which also opened its tenant's scope."""

from typing import Any

from django.http import HttpRequest
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request

from tenancy.selectors import Caller

CHALLENGE = 'Bearer realm="sequitur"'
INVALID_KEY_CHALLENGE = f'{CHALLENGE}, error="invalid_token"'


def bearer_key(request: HttpRequest) -> str | None:
    """The key of `Authorization: Bearer sk_...`, or None without such a header."""
    scheme, _, raw_key = request.headers.get("Authorization", "").partition(" ")
    return raw_key.strip() if scheme.lower() == "bearer" and raw_key.strip() else None


def caller_of(request: Request) -> Caller:
    """The client system that made the request. Raises NotAuthenticated when there is none."""
    caller: Caller | None = getattr(request._request, "caller", None)
    if caller is None:
        raise NotAuthenticated
    return caller


class ApiKeyAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[Caller, Caller] | None:
        caller: Caller | None = getattr(request._request, "caller", None)
        return (caller, caller) if caller else None

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE


class ApiKeyScheme(OpenApiAuthenticationExtension):
    """The key in the OpenAPI schema."""

    target_class = ApiKeyAuthentication
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "An API key, sk_..., made in the console."}
