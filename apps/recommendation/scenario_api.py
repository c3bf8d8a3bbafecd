"""Scenarios: which there are, and whether each has data enough."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from apps.recommendation.selectors import UnknownScenario, scenarios
from apps.recommendation.services import create_default_scenarios, obtain_scenario
from apps.recommendation.sufficiency.requirements import Requirement, Verdict
from apps.recommendation.sufficiency.verdicts import Sufficiency, sufficiency
from decisions.models import Scenario

EXAMPLE = OpenApiExample(
    "A young shop",
    value={
        "scenario": "home",
        "kind": "personalised",
        "verdict": "thin",
        "checked_at": "2026-11-25T20:15:00Z",
        "requirements": [
            {
                "code": "events",
                "title": "Events that name an item",
                "verdict": "thin",
                "found": 640,
                "needed": 1000,
                "unit": "events",
                "at_least": False,
                "missing": "360 more events",
                "cure": "send events with POST /api/v1/events, or import the shop's history",
                "source": "Amazon Personalize asks for 1,000 interactions and 25 users with two each",
            }
        ],
    },
    response_only=True,
)


class ScenarioSerializer(serializers.ModelSerializer):
    model = serializers.CharField(read_only=True, help_text="Line of models that answers; empty where none does.")
    status = serializers.SerializerMethodField(help_text="active, or off: requests for it are refused.")

    class Meta:
        model = Scenario
        fields = ("key", "name", "kind", "model", "settings", "status", "updated_at")
        read_only_fields = fields

    def get_status(self, scenario: Scenario) -> str:
        return "active" if scenario.is_active else "off"


class RequirementSerializer(serializers.Serializer):
    code = serializers.CharField()
    title = serializers.CharField()
    verdict = serializers.ChoiceField([each.value for each in Verdict])
    found = serializers.FloatField(allow_null=True, help_text="null where there is nothing to look at yet")
    needed = serializers.FloatField(help_text="from here on the verdict is ok; for an age, up to here")
    unit = serializers.CharField(help_text="events, subjects, baskets, share, days, hours, versions")
    at_least = serializers.BooleanField(help_text="counting stopped at the newest 50,000 events; there may be more")
    missing = serializers.CharField(allow_null=True)
    cure = serializers.CharField(allow_null=True)
    source = serializers.CharField(help_text="where the threshold comes from")  # type: ignore[assignment]


class SufficiencySerializer(serializers.Serializer):
    """The worst verdict on any requirement is the scenario's."""

    scenario = serializers.CharField()
    kind = serializers.CharField()
    verdict = serializers.ChoiceField([each.value for each in Verdict])
    checked_at = serializers.DateTimeField()
    requirements = RequirementSerializer(many=True)


def present(found: Sufficiency) -> dict[str, Any]:
    return {
        "scenario": found.scenario.key,
        "kind": found.scenario.kind,
        "verdict": found.verdict.value,
        "checked_at": found.checked_at,
        "requirements": [_present_requirement(each) for each in found.requirements],
    }


def _present_requirement(requirement: Requirement) -> dict[str, Any]:
    return dict(RequirementSerializer(requirement).data)


class ScenariosView(GenericAPIView):
    required_scopes = {"GET": "recommendations:read"}
    serializer_class = ScenarioSerializer
    page_ordering = "key"

    @extend_schema(
        operation_id="list_scenarios",
        tags=["scenarios"],
        summary="Scenarios, in the order of their keys",
        responses=ScenarioSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        if not scenarios().exists():
            create_default_scenarios()
        page = self.paginate_queryset(scenarios())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


class SufficiencyView(GenericAPIView):
    required_scopes = {"GET": "recommendations:read"}
    serializer_class = SufficiencySerializer
    pagination_class = None

    @extend_schema(
        operation_id="check_sufficiency",
        tags=["scenarios"],
        summary="Whether a scenario has data enough",
        description="Each requirement of its kind, what there is, what is missing, and the cure. Counts look at the "
        "newest 50,000 events and are at most a minute old.",
        examples=[EXAMPLE],
    )
    def get(self, request: Request, key: str) -> Response:
        try:
            scenario = obtain_scenario(key)
        except UnknownScenario as error:
            raise NotFound(str(error)) from error
        return Response(present(sufficiency(scenario)))
