"""What a list shows, as a file: the same search, the same rights, more rows."""

import csv
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path

from console.base import TenantModelAdmin

MOST_EXPORTED = 10_000


class ExportedAdmin(TenantModelAdmin):
    """A list with a button that saves what was found as CSV; for analysts. `export_fields` names its columns, each a
    field of the model or a method of the page."""

    export_fields: tuple[str, ...] = ()

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_export"
        export = path("export/", self.admin_site.admin_view(self.export_view), name=name)
        return [export, *super().get_urls()]

    def frame(self, **values: Any) -> dict[str, Any]:
        return super().frame(exports=True, **values)

    def export_view(self, request: HttpRequest) -> HttpResponse:
        if not (self.has_view_permission(request) and self.has_analyst_permission(request)):
            raise PermissionDenied
        rows = self.get_changelist_instance(request).get_queryset(request)[:MOST_EXPORTED]
        response = HttpResponse(content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="{self.opts.model_name}s.csv"'
        writer = csv.writer(response)
        writer.writerow(self.export_fields)
        writer.writerows([[self._cell(row, name) for name in self.export_fields] for row in rows])
        return response

    def _cell(self, row: Any, name: str) -> Any:
        method = getattr(self, name, None)
        value = method(row) if callable(method) else getattr(row, name)
        # A spreadsheet would run such a text as a formula.
        return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value
