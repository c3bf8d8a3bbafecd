"""Pages of the console that have no rows of their own."""

from abc import abstractmethod
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from console.base import TenantModelAdmin


class PageAdmin(TenantModelAdmin):
    """One page, no rows."""

    template = ""

    @abstractmethod
    def page_context(self, request: HttpRequest) -> dict[str, Any]:
        """What the template shows."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            **self.frame(title=self.list_title),
            **self.page_context(request),
            "can_export": self.has_analyst_permission(request),
            "opts": self.opts,
        }
        return TemplateResponse(request, self.template, context)

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        return self.changelist_view(request)
