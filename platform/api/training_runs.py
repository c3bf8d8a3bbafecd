"""Training runs: start one, watch it, cancel it."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from api.idempotency import IdempotentWrites
from api.model_actions import actor_of, serving_refusals
from api.serializers import ListParameters
from serving.models import RunStatus, TrainingRun
from serving.selectors import training_runs
from serving.services import cancel_training, request_training


class TrainingRunSerializer(serializers.ModelSerializer):
    version = serializers.SerializerMethodField(help_text="id of the model version that the run made, once it has")

    class Meta:
        model = TrainingRun
        fields = (
            "id",
            "model",
            "task",
            "config",
            "auto_promote",
            "warm_start",
            "status",
            "attempt",
            "progress",
            "curve",
            "report",
            "error",
            "version",
            "requested_by",
            "created_at",
            "started_at",
            "finished_at",
        )
        read_only_fields = fields

    def get_version(self, run: TrainingRun) -> UUID | None:
        return next((version.id for version in run.versions.all()), None)


class TrainingRunFilterSerializer(ListParameters):
    model = serializers.SlugField(required=False, help_text="line of models, such as next-item")
    status = serializers.ChoiceField(RunStatus.choices, required=False)


class TrainingRequestSerializer(serializers.Serializer):
    model = serializers.SlugField(max_length=50, help_text="line of models to train, such as next-item")
    task = serializers.SlugField(max_length=30, default="next_item")
    config = serializers.DictField(default=dict, help_text="settings of the task that differ from its defaults")
    auto_promote = serializers.BooleanField(default=True, help_text="let the model answer once it passes the gate")
    warm_start = serializers.BooleanField(
        default=False, help_text="go on from the weights of the live version, where there is one"
    )

    def validate(self, fields: dict[str, Any]) -> dict[str, Any]:
        if unknown := sorted(set(self.initial_data) - set(self.fields)):
            known = ", ".join(self.fields)
            raise serializers.ValidationError(dict.fromkeys(unknown, f"is unknown; known are {known}"))
        return fields


class TrainingRunsView(IdempotentWrites, GenericAPIView):
    required_scopes = {"GET": "models:read", "POST": "models:write"}
    parameters = TrainingRunFilterSerializer
    serializer_class = TrainingRunSerializer

    def get_queryset(self) -> QuerySet[TrainingRun]:
        return training_runs().filter(**self.parameters.of(self.request)).prefetch_related("versions")

    @extend_schema(
        operation_id="list_training_runs",
        summary="List training runs",
        parameters=[TrainingRunFilterSerializer],
        responses=TrainingRunSerializer(many=True),
        tags=["models"],
    )
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        operation_id="start_training_run",
        summary="Start a training run",
        description="One run at a time for each line of models; a second one is refused with 409.",
        request=TrainingRequestSerializer,
        responses={201: TrainingRunSerializer},
        examples=[
            OpenApiExample("what people want next", {"model": "next-item"}, request_only=True),
            OpenApiExample("intents", {"model": "intents", "task": "intents"}, request_only=True),
        ],
        tags=["models"],
    )
    def post(self, request: Request) -> Response:
        wanted = TrainingRequestSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        with serving_refusals():
            run = request_training(**wanted.validated_data, requested_by=actor_of(request))
        return Response(self.get_serializer(run).data, status=status.HTTP_201_CREATED)


class TrainingRunView(GenericAPIView):
    required_scopes = {"GET": "models:read"}
    serializer_class = TrainingRunSerializer

    @extend_schema(operation_id="get_training_run", summary="Watch a training run", tags=["models"])
    def get(self, request: Request, id: UUID) -> Response:
        return Response(self.get_serializer(get_object_or_404(training_runs(), id=id)).data)


class CancelTrainingRunView(IdempotentWrites, GenericAPIView):
    required_scopes = {"POST": "models:write"}
    serializer_class = TrainingRunSerializer

    @extend_schema(
        operation_id="cancel_training_run",
        summary="Cancel a training run",
        description="A run that has ended already is refused with 409.",
        request=None,
        tags=["models"],
    )
    def post(self, request: Request, id: UUID) -> Response:
        get_object_or_404(training_runs(), id=id)
        with serving_refusals():
            run = cancel_training(run_id=id)
        return Response(self.get_serializer(run).data)
