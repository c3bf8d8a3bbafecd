"""Shapes of the search API: what is refused, and how it is documented."""

from typing import Any

from rest_framework import serializers

from api.serializers import ObjectField, StrictSerializer
from apps.recommendation.searches.services import SCENARIO, SearchAnswer, SearchAsk
from apps.recommendation.serializers import (
    MOST_EXCLUDED,
    FilterField,
    ParamsField,
    RecommendationReasonSerializer,
    RecommendedItemSerializer,
    SubjectField,
)
from catalog.serializers import ItemIdField
from catalog.text_search import FACET_VALUES, MOST_MATCHES, Facets

LONGEST_QUERY = 500
OF_THE_FIRST_PAGE = ("query", "scenario", "filter", "exclude", "params", "context")


class SearchAskSerializer(StrictSerializer):
    """A search, or the next page of one."""

    query = serializers.CharField(
        required=False,
        max_length=LONGEST_QUERY,
        help_text="What the person typed, in any language. Required on the first page.",
    )
    subject = SubjectField()
    scenario = serializers.SlugField(
        required=False, max_length=50, help_text=f"Key of a scenario of the kind search; {SCENARIO} when left out."
    )
    count = serializers.IntegerField(required=False, default=12, min_value=1, max_value=100)
    filter = FilterField(required=False, allow_null=True, help_text="Which items may appear; the same as in GET items.")
    exclude = serializers.ListField(
        child=ItemIdField(), required=False, max_length=MOST_EXCLUDED, help_text="Ids that must not appear."
    )
    params = ParamsField(required=False, help_text="Scenario settings replaced for this search.")
    context = ObjectField(  # type: ignore[assignment]
        required=False, help_text="What the client knows of the moment; kept with the decision."
    )
    explain = serializers.BooleanField(required=False, default=True, help_text="false leaves the reasons out.")
    facets = serializers.BooleanField(required=False, default=True, help_text="false leaves the facets out.")
    cursor = serializers.UUIDField(
        required=False,
        help_text="next_cursor of the page before. Query, filter and the like then come from the first page.",
    )

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        if "cursor" not in values:
            if "query" not in values:
                raise serializers.ValidationError({"query": "is missing; send what the person typed"}, code="required")
            return values
        if given := [name for name in OF_THE_FIRST_PAGE if name in values]:
            message = "comes from the first page; leave it out beside a cursor, or search again without the cursor"
            raise serializers.ValidationError(dict.fromkeys(given, message))
        return values

    def ask(self) -> SearchAsk:
        """The ask of a first page; beside a cursor its query is still empty."""
        return SearchAsk(**{"query": ""} | {k: v for k, v in self.validated_data.items() if k != "cursor"})


class SearchReasonSerializer(RecommendationReasonSerializer):
    code = serializers.ChoiceField(["matches", "meaning", "because_of", "popular", "newest"])
    weight = serializers.FloatField(
        help_text="0 to 1: for matches the share of the query's words, for meaning the cosine to the query, for "
        "because_of the share of the score that the event accounts for."
    )
    words = serializers.ListField(
        child=serializers.CharField(), required=False, help_text="Words of the query that the item has."
    )


class FoundItemSerializer(RecommendedItemSerializer):
    rank = serializers.IntegerField(help_text="From 1, counted on from page to page.")
    reasons = SearchReasonSerializer(many=True)


class FacetValueSerializer(serializers.Serializer):
    value = serializers.CharField(help_text="a category or brand")
    count = serializers.IntegerField(help_text="matches that have it")


class PriceRangeSerializer(serializers.Serializer):
    gte = serializers.FloatField(allow_null=True, help_text="null: no lower bound.")
    lt = serializers.FloatField(allow_null=True, help_text="null: no upper bound.")
    count = serializers.IntegerField(help_text="matches within it")


class FacetsSerializer(serializers.Serializer):
    """Counts over all matches; as a filter: eq on categories or brand, range on price."""

    categories = FacetValueSerializer(many=True, help_text=f"At most {FACET_VALUES}, those of most matches first.")
    brands = FacetValueSerializer(many=True, help_text=f"At most {FACET_VALUES}, those of most matches first.")
    prices = PriceRangeSerializer(many=True, help_text="From low to high; ranges without a match are left out.")


class SearchAnswerSerializer(serializers.Serializer):
    """What was found. Send decision_id back with the events that follow from it."""

    decision_id = serializers.UUIDField()
    scenario = serializers.CharField()
    kind = serializers.CharField()
    model_version = serializers.UUIDField(allow_null=True, help_text="null: no model had a say in the order.")
    policy = serializers.CharField()
    experiment = serializers.CharField(allow_null=True, help_text="null: no experiment runs on the scenario.")
    degraded = serializers.CharField(
        allow_null=True,
        help_text="null: items with all the words. Else how far the search had to loosen: corrected (mistyped words), "
        "any_word, meaning, popular, newest, empty; or text_only when no vector of the query could be had in time, or "
        "what stood in for a model: previous_version, fused (no trained re-ranker answered), rules.",
    )
    notice = serializers.CharField(allow_null=True, help_text="The same in words for the person who searched.")
    corrected_query = serializers.CharField(allow_null=True, help_text="null: nothing was mistyped.")
    total = serializers.IntegerField(help_text="How many items match, on all pages.")
    total_is_capped = serializers.BooleanField(
        help_text=f"The words match more than {MOST_MATCHES:,} items: total and facets count those read."
    )
    facets = FacetsSerializer(allow_null=True)
    items = FoundItemSerializer(many=True)
    next_cursor = serializers.CharField(allow_null=True, help_text="null: this is the last page.")


def present_search(answer: SearchAnswer) -> dict[str, Any]:
    return {
        "decision_id": answer.decision_id,
        "scenario": answer.scenario.key,
        "kind": answer.scenario.kind,
        "model_version": answer.model_version,
        "policy": answer.policy,
        "experiment": None,
        "degraded": answer.degraded,
        "notice": answer.notice,
        "corrected_query": answer.corrected_query,
        "total": answer.total,
        "total_is_capped": answer.is_capped,
        "facets": _present_facets(answer.facets) if answer.facets else None,
        "items": answer.items,
        "next_cursor": str(answer.decision_id) if answer.has_more else None,
    }


def _present_facets(facets: Facets) -> dict[str, Any]:
    return {
        "categories": [{"value": value, "count": count} for value, count in facets.categories],
        "brands": [{"value": value, "count": count} for value, count in facets.brands],
        "prices": [{"gte": gte, "lt": lt, "count": count} for (gte, lt), count in facets.prices],
    }
