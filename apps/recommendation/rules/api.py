"""Rules: made as drafts, previewed, published, changed, restored, removed."""

from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError as DjangoValidationError
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
from apps.recommendation.models import Rule, RuleChange
from apps.recommendation.rules.previews import preview_rules
from apps.recommendation.rules.selectors import changes_of, rules
from apps.recommendation.rules.serializers import (
    RestoreSerializer,
    RuleBodySerializer,
    RuleChangeSerializer,
    RuleEditSerializer,
    RuleListParameters,
    RulePreviewRequestSerializer,
    RulePreviewSerializer,
    RuleSerializer,
    RuleWithWarningsSerializer,
)
from apps.recommendation.rules.services import (
    EDITOR,
    change_rule,
    check,
    create_rule,
    publish_rule,
    remove_rule,
    restore_rule,
    unpublish_rule,
)
from apps.recommendation.selectors import UnknownScenario
from catalog.filters import FilterError

READ, WRITE = "rules:read", "rules:write"
PIN = {
    "name": "Tent of the month first",
    "kind": "pin",
    "scenarios": ["home"],
    "target": {"eq": {"field": "id", "value": "o0042"}},
    "values": {"position": 1},
    "ends_at": "2030-12-31T23:59:59Z",
}
PROMOTION = {
    "name": "A fifth for our own brand",
    "kind": "promote",
    "target": {"eq": {"field": "brand", "value": "Acme"}},
    "values": {"share": 20},
    "condition": {"context": {"device": "mobile"}},
}
PREVIEW = {"scenario": "home", "subject": {"user_id": "u-17"}, "count": 6, "rules": [PIN]}


class RulesView(IdempotentWrites, GenericAPIView):
    required_scopes = {"GET": READ, "POST": WRITE}
    parameters = RuleListParameters
    serializer_class = RuleSerializer

    def get_queryset(self) -> QuerySet[Rule]:
        return rules(self.parameters.of(self.request).get("status"))

    @extend_schema(
        operation_id="list_rules",
        tags=["rules"],
        summary="A page of rules, newest first",
        parameters=[RuleListParameters],
        responses=RuleSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        operation_id="create_rule",
        tags=["rules"],
        summary="Make a rule; it is a draft until it is published",
        request=RuleBodySerializer,
        responses={201: RuleWithWarningsSerializer},
        examples=[
            OpenApiExample("a pin", PIN, request_only=True),
            OpenApiExample("a promotion", PROMOTION, request_only=True),
        ],
    )
    def post(self, request: Request) -> Response:
        body = RuleBodySerializer(data=request.data)
        body.is_valid(raise_exception=True)
        rule = create_rule(actor=actor_of(request), **body.validated_data)
        return Response(RuleWithWarningsSerializer(rule).data, status=201)


@extend_schema(tags=["rules"])
class RuleView(IdempotentWrites):
    required_scopes = {"GET": READ, "PATCH": WRITE, "DELETE": WRITE}

    @extend_schema(operation_id="get_rule", summary="One rule, a removed one too", responses=RuleWithWarningsSerializer)
    def get(self, request: Request, id: UUID) -> Response:
        with rule_refusals(EDITOR, id):
            return Response(RuleWithWarningsSerializer(Rule.objects.get(id=id)).data)

    @extend_schema(
        operation_id="change_rule",
        summary="Change some fields of a rule; a published one acts by them at once",
        request=RuleEditSerializer(partial=True),
        responses=RuleWithWarningsSerializer,
        examples=[OpenApiExample("further down", {"values": {"position": 3}}, request_only=True)],
    )
    def patch(self, request: Request, id: UUID) -> Response:
        body = RuleEditSerializer(data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        changes = body.validated_data
        version = changes.pop("version", None)
        with rule_refusals(EDITOR, id):
            rule = change_rule(rule_id=id, actor=actor_of(request), changes=changes, version=version)
        return Response(RuleWithWarningsSerializer(rule).data)

    @extend_schema(
        operation_id="remove_rule",
        summary="Take a rule out of all lists; its history stays",
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, id: UUID) -> Response:
        with rule_refusals(EDITOR, id):
            remove_rule(rule_id=id, actor=actor_of(request))
        return Response(status=204)


class PublishRuleView(IdempotentWrites):
    required_scopes = {"POST": WRITE}

    @extend_schema(
        operation_id="publish_rule",
        tags=["rules"],
        summary="Let a rule act within its schedule",
        request=None,
        responses=RuleWithWarningsSerializer,
    )
    def post(self, request: Request, id: UUID) -> Response:
        with rule_refusals(EDITOR, id):
            rule = publish_rule(rule_id=id, actor=actor_of(request))
        return Response(RuleWithWarningsSerializer(rule).data)


class UnpublishRuleView(IdempotentWrites):
    required_scopes = {"POST": WRITE}

    @extend_schema(
        operation_id="unpublish_rule",
        tags=["rules"],
        summary="Make a rule a draft again",
        request=None,
        responses=RuleWithWarningsSerializer,
    )
    def post(self, request: Request, id: UUID) -> Response:
        with rule_refusals(EDITOR, id):
            rule = unpublish_rule(rule_id=id, actor=actor_of(request))
        return Response(RuleWithWarningsSerializer(rule).data)


class RestoreRuleView(IdempotentWrites):
    required_scopes = {"POST": WRITE}

    @extend_schema(
        operation_id="restore_rule",
        tags=["rules"],
        summary="Give a rule the contents of an earlier version; a removed one comes back as a draft",
        request=RestoreSerializer,
        responses=RuleWithWarningsSerializer,
        examples=[OpenApiExample("as it was made", {"version": 1}, request_only=True)],
    )
    def post(self, request: Request, id: UUID) -> Response:
        body = RestoreSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        with rule_refusals(EDITOR, id):
            rule = restore_rule(rule_id=id, actor=actor_of(request), **body.validated_data)
        return Response(RuleWithWarningsSerializer(rule).data)


class RuleChangesView(GenericAPIView):
    required_scopes = {"GET": READ}
    serializer_class = RuleChangeSerializer
    page_ordering = "-version"
    queryset = RuleChange.objects.none()

    @extend_schema(
        operation_id="list_rule_changes",
        tags=["rules"],
        summary="A rule's history, newest first",
        responses=RuleChangeSerializer(many=True),
    )
    def get(self, request: Request, id: UUID) -> Response:
        with rule_refusals(EDITOR, id):
            Rule.objects.only("id").get(id=id)
        page = self.paginate_queryset(changes_of(id))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


class PreviewRulesView(APIView):
    required_scopes = {"POST": READ}

    @extend_schema(
        operation_id="preview_rules",
        tags=["rules"],
        summary="A subject's list without rules and with them, side by side",
        description="Rules are named by id, or given whole before they exist. They are tried as if they were published "
        "and due; their conditions are asked of `context`. Exploration is off, and nothing is recorded.",
        request=RulePreviewRequestSerializer,
        responses=RulePreviewSerializer,
        examples=[OpenApiExample("a pin that is not made yet", PREVIEW, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        body = RulePreviewRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        tried = [_rule(number, given) for number, given in enumerate(body.validated_data["rules"])]
        try:
            shown = preview_rules(body.ask(), tried)
        except UnknownScenario as error:
            raise NotFound(str(error)) from error
        except FilterError as error:
            raise ValidationError({"rules": [str(error)]}) from error
        return Response(RulePreviewSerializer(shown).data)


def _rule(number: int, given: UUID | dict[str, Any]) -> Rule:
    """A stored rule, or one that is made for the preview alone."""
    if isinstance(given, UUID):
        rule = Rule.objects.filter(id=given).first()
        if rule is None:
            raise _refused(number, [f"there is no rule {given}"])
        return rule
    rule = Rule(**{"key": f"preview-{number + 1}", **given})
    try:
        check(rule)
    except DjangoValidationError as error:
        raise _refused(number, error.message_dict) from error
    return rule


def _refused(number: int, detail: Any) -> ValidationError:
    place: dict[Any, Any] = {number: detail}
    return ValidationError({"rules": place})
