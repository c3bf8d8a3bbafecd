"""A secret on its way to the operator: rendered into one answer, never stored, never cached."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.response import TemplateResponse

from console.theme import ModelAdmin


def shown_once_page(
    request: HttpRequest, page: ModelAdmin, *, title: str, value: str, explanation: str
) -> HttpResponse:
    context = {
        **page.admin_site.each_context(request),
        "title": title,
        "value": value,
        "explanation": explanation,
        "back": page.list_page(),
    }
    return _never_stored(TemplateResponse(request, "console/shown_once.html", context))


def shown_once_dialog(
    request: HttpRequest, page: ModelAdmin, *, title: str, value: str, explanation: str
) -> HttpResponse:
    """The same inside the dialog whose button was pressed."""
    context = {"title": title, "value": value, "explanation": explanation, "back": page.list_page()}
    response = render(request, "console/shown_once_dialog.html", context)
    for name, value in {"HX-Retarget": "#dialog", "HX-Reselect": "#dialog", "HX-Reswap": "outerHTML"}.items():
        response[name] = value
    return _never_stored(response)


def _never_stored(response: HttpResponse) -> HttpResponse:
    response["Cache-Control"] = "no-store"
    return response
