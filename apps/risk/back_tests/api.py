"""Back-tests: what a rule would have done to past transactions, before it is published."""

from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.errors import Conflict
from api.idempotency import IdempotentWrites
from api.model_actions import actor_of
from apps.risk.back_tests.models import BackTest
from apps.risk.back_tests.selectors import back_tests
from apps.risk.back_tests.serializers import BackTestRequestSerializer, BackTestSerializer
from apps.risk.back_tests.services import TooManyBackTests, request_back_test
from apps.risk.rules.models import RiskAction, RiskRule

READ = "risk-rules:read"
TAGS = ["risk rules"]
MONTH = {"expression": "amount > 220", "action": "review", "from": "2025-09-01", "to": "2025-09-30"}


class BackTestsView(IdempotentWrites, GenericAPIView):
    required_scopes = {"GET": READ, "POST": READ}
    serializer_class = BackTestSerializer

    def get_queryset(self) -> QuerySet[BackTest]:
        return back_tests()

    @extend_schema(
        operation_id="list_risk_back_tests",
        tags=TAGS,
        summary="A page of back-tests, newest first",
        responses=BackTestSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        operation_id="start_risk_back_test",
        tags=TAGS,
        summary="Try a rule on the stored transactions of some past days",
        description="A worker does it; GET the answer's id until its status is succeeded or failed. Velocity features "
        "are worked out anew as they stood at each transaction, lists are asked as they are now, and labels are those "
        "known by now.",
        request=BackTestRequestSerializer,
        responses={202: BackTestSerializer},
        examples=[OpenApiExample("a month", MONTH, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        body = BackTestRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        asked = body.validated_data
        rule = _rule(asked["rule"]) if "rule" in asked else None
        try:
            made = request_back_test(
                expression=rule.expression if rule else asked["expression"],
                action=asked.get("action") or (rule.action if rule else RiskAction.ALERT),
                from_day=asked["from_day"],
                to_day=asked["to"],
                actor=actor_of(request),
                rule=rule,
            )
        except TooManyBackTests as error:
            raise Conflict(str(error)) from error
        return Response(BackTestSerializer(made).data, status=202)


class BackTestView(APIView):
    required_scopes = {"GET": READ}

    @extend_schema(operation_id="get_risk_back_test", tags=TAGS, summary="One back-test", responses=BackTestSerializer)
    def get(self, request: Request, id: UUID) -> Response:
        found = back_tests().filter(id=id).first()
        if found is None:
            raise NotFound(f"there is no back-test {id}")
        return Response(BackTestSerializer(found).data)


def _rule(rule_id: UUID) -> RiskRule:
    rule = RiskRule.objects.filter(id=rule_id, removed_at=None).first()
    if rule is None:
        raise ValidationError({"rule": f"there is no rule {rule_id}"})
    return rule
