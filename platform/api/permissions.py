"""What a key may do."""

from typing import TYPE_CHECKING

from rest_framework.exceptions import APIException, MethodNotAllowed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from api.authentication import caller_of

if TYPE_CHECKING:
    from rest_framework.views import APIView  # which imports this module while it loads


class MissingScope(APIException):
    status_code = 403
    default_code = "missing_scope"


class HasScope(BasePermission):
    """The caller's key holds the scope that the view's `required_scopes` names for the method.

    A method without one is refused, so a view that forgets to name its scopes is closed and not open.
    """

    def has_permission(self, request: Request, view: "APIView") -> bool:
        caller = caller_of(request)
        if request.method == "OPTIONS":
            return True
        scope = required_scope(view, str(request.method))
        if scope is None:
            raise MethodNotAllowed(str(request.method))
        if scope not in caller.scopes:
            raise MissingScope(f"this key lacks the scope '{scope}'; add it to the key in the console")
        return True


def required_scope(view: "APIView", method: str) -> str | None:
    scopes: dict[str, str] = getattr(view, "required_scopes", {})
    return scopes.get("GET" if method == "HEAD" else method)
