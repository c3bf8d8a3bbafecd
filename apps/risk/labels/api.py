"""/api/v1/risk/labels: what became known of transactions."""

from collections import Counter
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, PolymorphicProxySerializer, extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from api.events import ReasonSerializer
from api.idempotency import IdempotentWrites
from api.model_actions import actor_of
from api.serializers import ListParameters
from apps.risk.bodies import read_json, read_list
from apps.risk.labels.reading import BadLabel, read_label
from apps.risk.labels.services import LabelResult, NewLabel, record_labels
from apps.risk.transactions.models import Label

MOST_LABELS = 1000
RESULTS = ("ok", "duplicate", "invalid")
FRAUD = {"transaction_id": "t-1001", "kind": "fraud", "note": "called the bank"}


class LabelBodySerializer(serializers.Serializer):
    transaction_id = serializers.CharField(max_length=200)
    kind = serializers.ChoiceField(Label.Kind.choices)
    known_at = serializers.DateTimeField(required=False, help_text="when you learned it; now when left out")
    note = serializers.CharField(required=False, max_length=2000)


class LabelBatchSerializer(serializers.Serializer):
    labels = serializers.ListField(child=LabelBodySerializer(), max_length=MOST_LABELS)


class LabelResultSerializer(serializers.Serializer):
    transaction_id = serializers.CharField(allow_null=True)
    result = serializers.ChoiceField(RESULTS)
    errors = ReasonSerializer(many=True, required=False)  # type: ignore[assignment]


class LabelAnswerSerializer(serializers.Serializer):
    counts = serializers.DictField(child=serializers.IntegerField())
    results = LabelResultSerializer(many=True, help_text="one for each label, in their order")


class LabelSerializer(serializers.ModelSerializer):
    class Meta:
        model = Label
        fields = ("id", "transaction_id", "kind", "known_at", "source", "actor", "note", "created_at")


class LabelParameters(ListParameters):
    transaction_id = serializers.CharField(required=False, max_length=200, help_text="what was said of this one alone")


class LabelsView(IdempotentWrites, GenericAPIView):
    required_scopes = {"GET": "risk:read", "POST": "risk:write"}
    parameters = LabelParameters
    serializer_class = LabelSerializer

    def get_queryset(self) -> QuerySet[Label]:
        return Label.objects.filter(**self.parameters.of(self.request))

    @extend_schema(
        operation_id="list_labels",
        tags=["risk"],
        summary="A page of what was said of transactions, newest first",
        parameters=[LabelParameters],
        responses=LabelSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        operation_id="send_labels",
        tags=["risk"],
        summary="Say what became known of transactions",
        description=f"One label, or up to {MOST_LABELS:,} under `labels`, each judged on its own. `fraud` and "
        "`chargeback` make a transaction known as fraud from `known_at` on, `false_alarm` and `genuine` clear it. The "
        "newest word counts; all are kept.",
        request=PolymorphicProxySerializer(
            "LabelOrBatch", [LabelBodySerializer, LabelBatchSerializer], resource_type_field_name=None
        ),
        responses=LabelAnswerSerializer,
        examples=[
            OpenApiExample("a fraud", FRAUD, request_only=True),
            OpenApiExample("several", {"labels": [FRAUD]}, request_only=True),
        ],
    )
    def post(self, request: Request) -> Response:
        body = read_json(request)
        raws = [body] if isinstance(body, dict) and "labels" not in body else read_list(body, "labels", MOST_LABELS)
        results: list[dict[str, Any]] = [{} for _ in raws]
        good: dict[int, NewLabel] = {}
        now = timezone.now()
        for number, raw in enumerate(raws):
            try:
                good[number] = read_label(raw, now=now)
            except BadLabel as error:
                results[number] = {"transaction_id": error.transaction_id, "result": "invalid", "errors": error.reasons}
        found = record_labels(labels=list(good.values()), source=Label.Source.API, actor=actor_of(request))
        for number, result in zip(good, found, strict=True):
            results[number] = _shown(result)
        counts = Counter(result["result"] for result in results)
        return Response({"counts": {name: counts[name] for name in RESULTS}, "results": results})


def _shown(result: LabelResult) -> dict[str, Any]:
    shown: dict[str, Any] = {"transaction_id": result.transaction_id, "result": result.result}
    if result.message:
        shown["errors"] = [{"field": result.field, "code": "invalid", "message": result.message}]
    return shown
