"""The desk's rules: made as drafts, tried, put in shadow, published, changed, restored, removed."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.idempotency import IdempotentWrites
from api.model_actions import actor_of
from api.rules import rule_refusals
from apps.risk.models import Transaction
from apps.risk.rules.dry_runs import BadFacts, dry_run, facts_of_stored, read_facts
from apps.risk.rules.fields import fields
from apps.risk.rules.models import RiskRule, RiskRuleChange, RiskRuleMode
from apps.risk.rules.selectors import changes_of, rules
from apps.risk.rules.serializers import (
    DryRunRequestSerializer,
    DryRunSerializer,
    RiskFieldsSerializer,
    RiskRuleBodySerializer,
    RiskRuleChangeSerializer,
    RiskRuleEditSerializer,
    RiskRuleListParameters,
    RiskRuleRestoreSerializer,
    RiskRuleSerializer,
)
from apps.risk.rules.services import EDITOR, change_rule, create_rule, remove_rule, restore_rule, set_mode

READ, WRITE = "risk-rules:read", "risk-rules:write"
TAGS = ["risk rules"]
LARGE = {
    "name": "Far above what is usual",
    "expression": "amount > 500 and amount_to_customer_mean_30d > 6",
    "action": "review",
    "severity": "high",
}
BLOCKED = {
    "name": "Blocked cards abroad",
    "expression": 'in_list("blocked cards", card) and country not in ["DE", "FR"]',
    "action": "decline",
}
MADE_UP = {
    "expression": "amount > 500 and hour < 5",
    "facts": {"amount": 620, "hour": 3.5, "properties": {"channel": "web"}},
}


class RiskFieldsView(APIView):
    required_scopes = {"GET": READ}

    @extend_schema(
        operation_id="list_risk_fields",
        tags=TAGS,
        summary="What an expression may ask of a transaction",
        description="`properties.<name>` besides reads the transaction's own properties.",
        responses=RiskFieldsSerializer,
    )
    def get(self, request: Request) -> Response:
        return Response(RiskFieldsSerializer({"fields": fields()}).data)


class RiskRulesView(IdempotentWrites, GenericAPIView):
    required_scopes = {"GET": READ, "POST": WRITE}
    parameters = RiskRuleListParameters
    serializer_class = RiskRuleSerializer

    def get_queryset(self) -> QuerySet[RiskRule]:
        return rules(self.parameters.of(self.request).get("mode"))

    @extend_schema(
        operation_id="list_risk_rules",
        tags=TAGS,
        summary="A page of rules, newest first",
        parameters=[RiskRuleListParameters],
        responses=RiskRuleSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        operation_id="create_risk_rule",
        tags=TAGS,
        summary="Make a rule; it is a draft until it is put in shadow or published",
        request=RiskRuleBodySerializer,
        responses={201: RiskRuleSerializer},
        examples=[
            OpenApiExample("an unusual amount", LARGE, request_only=True),
            OpenApiExample("a list", BLOCKED, request_only=True),
        ],
    )
    def post(self, request: Request) -> Response:
        body = RiskRuleBodySerializer(data=request.data)
        body.is_valid(raise_exception=True)
        rule = create_rule(actor=actor_of(request), **body.validated_data)
        return Response(RiskRuleSerializer(rule).data, status=201)


@extend_schema(tags=TAGS)
class RiskRuleView(IdempotentWrites):
    required_scopes = {"GET": READ, "PATCH": WRITE, "DELETE": WRITE}

    @extend_schema(operation_id="get_risk_rule", summary="One rule, a removed one too", responses=RiskRuleSerializer)
    def get(self, request: Request, id: UUID) -> Response:
        with rule_refusals(EDITOR, id):
            return Response(RiskRuleSerializer(RiskRule.objects.get(id=id)).data)

    @extend_schema(
        operation_id="change_risk_rule",
        summary="Change some fields of a rule; a live one judges by them within seconds",
        request=RiskRuleEditSerializer(partial=True),
        responses=RiskRuleSerializer,
        examples=[OpenApiExample("a higher bar", {"expression": "amount > 1000"}, request_only=True)],
    )
    def patch(self, request: Request, id: UUID) -> Response:
        body = RiskRuleEditSerializer(data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        changes = body.validated_data
        version = changes.pop("version", None)
        with rule_refusals(EDITOR, id):
            rule = change_rule(rule_id=id, actor=actor_of(request), changes=changes, version=version)
        return Response(RiskRuleSerializer(rule).data)

    @extend_schema(
        operation_id="remove_risk_rule",
        summary="The rule judges nothing any more; its history stays",
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, id: UUID) -> Response:
        with rule_refusals(EDITOR, id):
            remove_rule(rule_id=id, actor=actor_of(request))
        return Response(status=204)


class PublishRiskRuleView(IdempotentWrites):
    required_scopes = {"POST": WRITE}

    @extend_schema(
        operation_id="publish_risk_rule",
        tags=TAGS,
        summary="Let a rule's hits count, within its schedule",
        request=None,
        responses=RiskRuleSerializer,
    )
    def post(self, request: Request, id: UUID) -> Response:
        return _put(request, id, RiskRuleMode.LIVE)


class ShadowRiskRuleView(IdempotentWrites):
    required_scopes = {"POST": WRITE}

    @extend_schema(
        operation_id="shadow_risk_rule",
        tags=TAGS,
        summary="Count a rule's hits without any effect",
        request=None,
        responses=RiskRuleSerializer,
    )
    def post(self, request: Request, id: UUID) -> Response:
        return _put(request, id, RiskRuleMode.SHADOW)


class UnpublishRiskRuleView(IdempotentWrites):
    required_scopes = {"POST": WRITE}

    @extend_schema(
        operation_id="unpublish_risk_rule",
        tags=TAGS,
        summary="Make a rule a draft again",
        request=None,
        responses=RiskRuleSerializer,
    )
    def post(self, request: Request, id: UUID) -> Response:
        return _put(request, id, RiskRuleMode.DRAFT)


class RestoreRiskRuleView(IdempotentWrites):
    required_scopes = {"POST": WRITE}

    @extend_schema(
        operation_id="restore_risk_rule",
        tags=TAGS,
        summary="Give a rule the contents of an earlier version; a removed one comes back as a draft",
        request=RiskRuleRestoreSerializer,
        responses=RiskRuleSerializer,
        examples=[OpenApiExample("as it was made", {"version": 1}, request_only=True)],
    )
    def post(self, request: Request, id: UUID) -> Response:
        body = RiskRuleRestoreSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        with rule_refusals(EDITOR, id):
            rule = restore_rule(rule_id=id, actor=actor_of(request), **body.validated_data)
        return Response(RiskRuleSerializer(rule).data)


class RiskRuleChangesView(GenericAPIView):
    required_scopes = {"GET": READ}
    serializer_class = RiskRuleChangeSerializer
    page_ordering = "-version"
    queryset = RiskRuleChange.objects.none()

    @extend_schema(
        operation_id="list_risk_rule_changes",
        tags=TAGS,
        summary="A rule's history, newest first",
        responses=RiskRuleChangeSerializer(many=True),
    )
    def get(self, request: Request, id: UUID) -> Response:
        with rule_refusals(EDITOR, id):
            RiskRule.objects.only("id").get(id=id)
        page = self.paginate_queryset(changes_of(id))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


class DryRunView(APIView):
    required_scopes = {"POST": READ}

    @extend_schema(
        operation_id="dry_run_risk_rule",
        tags=TAGS,
        summary="Try a rule on one transaction and see the value of each of its parts",
        description="The transaction is a stored one, with its velocity features worked out anew as they stood when it "
        "happened, or made-up facts. Nothing is recorded.",
        request=DryRunRequestSerializer,
        responses=DryRunSerializer,
        examples=[OpenApiExample("made-up facts", MADE_UP, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        body = DryRunRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        expression = expression_of(body.validated_data)
        if "facts" in body.validated_data:
            try:
                facts = read_facts(body.validated_data["facts"])
            except BadFacts as error:
                raise ValidationError({"facts": str(error)}) from error
        else:
            facts = facts_of_stored(_transaction(body.validated_data["transaction_id"]))
        return Response(DryRunSerializer(dry_run(expression, facts)).data)


def _put(request: Request, rule_id: UUID, mode: RiskRuleMode) -> Response:
    with rule_refusals(EDITOR, rule_id):
        rule = set_mode(rule_id=rule_id, mode=mode, actor=actor_of(request))
    return Response(RiskRuleSerializer(rule).data)


def expression_of(body: dict[str, Any]) -> str:
    """The expression of a body that names it or a rule. Raises NotFound for a rule that is not there."""
    if "expression" in body:
        return str(body["expression"])
    with rule_refusals(EDITOR, body["rule"]):
        return RiskRule.objects.get(id=body["rule"]).expression


def _transaction(transaction_id: str) -> Transaction:
    found = Transaction.objects.filter(transaction_id=transaction_id).first()
    if found is None:
        raise NotFound("there is no transaction with this transaction_id")
    return found
