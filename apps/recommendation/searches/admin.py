"""The console's page on which an operator tries a search out."""

from typing import Any

from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from apps.recommendation.scenarios import Kind
from apps.recommendation.searches.serializers import LONGEST_QUERY
from apps.recommendation.searches.services import SCENARIO, SearchAnswer, SearchAsk, preview_search
from apps.recommendation.selectors import UnknownScenario, scenarios
from catalog.models import ItemText
from catalog.selectors import find_items
from console.base import LogAdmin
from console.site import register

SHOWN = 24


@register(ItemText)
class SearchAdmin(LogAdmin):
    """Instead of a list of the index's rows: what a search finds, and why. Nothing is recorded."""

    list_title = "Search"
    fields = ("id", "encoder", "item_updated_at")
    readonly_fields = fields

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        query = request.GET.get("q", "").replace("\0", "").strip()[:LONGEST_QUERY]
        keys = list(scenarios().filter(kind=Kind.SEARCH, is_active=True).values_list("key", flat=True))
        scenario = request.GET.get("scenario") or SCENARIO
        context = {
            **self.admin_site.each_context(request),
            **self.frame(),
            "title": self.list_title,
            "opts": self.opts,
            "query": query,
            "scenario": scenario,
            "scenarios": keys,
            **(_found(query, scenario) if query else {}),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "console/search.html", context)


def _found(query: str, scenario: str) -> dict[str, Any]:
    ask = SearchAsk(query=query, subject=None, scenario=scenario, count=SHOWN)
    try:
        answer = preview_search(ask)
    except UnknownScenario as error:
        return {"problem": str(error)}
    except ValidationError as error:
        return {"problem": " ".join(error.messages)}
    return {"answer": answer, "items": _with_titles(answer)}


def _with_titles(answer: SearchAnswer) -> list[dict[str, Any]]:
    known = find_items(item["id"] for item in answer.items)
    return [{**item, "title": known[item["id"]].title if item["id"] in known else ""} for item in answer.items]
