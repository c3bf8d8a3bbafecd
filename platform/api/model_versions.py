"""Model versions: what each showed beside the untrained baselines, what the gate said, which one answers."""

from uuid import UUID

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from api.idempotency import IdempotentWrites
from api.model_actions import actor_of, serving_refusals
from api.serializers import ListParameters
from serving.models import Deployment, ModelVersion, VersionStatus
from serving.selectors import model_versions
from serving.services import promote, rollback


class ModelVersionSerializer(serializers.ModelSerializer):
    live = serializers.SerializerMethodField(help_text="whether this version answers for its line")
    run = serializers.UUIDField(source="run_id", help_text="the training run that made it")

    class Meta:
        model = ModelVersion
        fields = (
            "id",
            "model",
            "number",
            "task",
            "status",
            "live",
            "metrics",
            "reasons",
            "run",
            "artifact_sha256",
            "created_at",
            "files_deleted_at",
        )
        read_only_fields = fields
        extra_kwargs = {
            "files_deleted_at": {"help_text": "since when it can no longer be asked or promoted; null while it can"},
            "metrics": {"help_text": "score on the newest holdout beside those of the untrained baselines"},
            "reasons": {"help_text": "the promotion gate's verdict in words and figures"},
        }

    def get_live(self, version: ModelVersion) -> bool:
        return version.status == VersionStatus.LIVE


class ModelVersionFilterSerializer(ListParameters):
    model = serializers.SlugField(required=False, help_text="line of models, such as next-item")
    status = serializers.ChoiceField(VersionStatus.choices, required=False)


class DeploymentSerializer(serializers.ModelSerializer):
    live_version = ModelVersionSerializer()
    previous_version = ModelVersionSerializer(allow_null=True)

    class Meta:
        model = Deployment
        fields = ("model", "live_version", "previous_version", "promoted_at", "promoted_by")
        read_only_fields = fields


class ModelVersionsView(GenericAPIView):
    required_scopes = {"GET": "models:read"}
    parameters = ModelVersionFilterSerializer
    serializer_class = ModelVersionSerializer

    def get_queryset(self) -> QuerySet[ModelVersion]:
        return model_versions().filter(**self.parameters.of(self.request))

    @extend_schema(
        operation_id="list_models",
        summary="List model versions",
        parameters=[ModelVersionFilterSerializer],
        responses=ModelVersionSerializer(many=True),
        tags=["models"],
    )
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


class ModelVersionView(GenericAPIView):
    required_scopes = {"GET": "models:read"}
    serializer_class = ModelVersionSerializer

    @extend_schema(operation_id="get_model", summary="Read a model version", tags=["models"])
    def get(self, request: Request, id: UUID) -> Response:
        return Response(self.get_serializer(get_object_or_404(model_versions(), id=id)).data)


class PromoteView(IdempotentWrites, GenericAPIView):
    required_scopes = {"POST": "models:write"}
    serializer_class = DeploymentSerializer

    @extend_schema(
        operation_id="promote_model",
        summary="Let a model version answer",
        description="A version that the gate refused is refused here with 422 and the gate's reasons, one "
        "whose files were deleted with 409.",
        request=None,
        tags=["models"],
    )
    def post(self, request: Request, id: UUID) -> Response:
        version = get_object_or_404(model_versions(), id=id)
        with serving_refusals():
            deployment = promote(version=version, actor=actor_of(request))
        return Response(self.get_serializer(deployment).data)


class RollbackView(IdempotentWrites, GenericAPIView):
    required_scopes = {"POST": "models:write"}
    serializer_class = DeploymentSerializer

    @extend_schema(
        operation_id="roll_back_model",
        summary="Go back to the version before this one",
        description="Only for the version that is live: any other is refused with 409, so that two calls at once, or "
        "one that comes late, can not undo each other.",
        request=None,
        tags=["models"],
    )
    def post(self, request: Request, id: UUID) -> Response:
        version = get_object_or_404(model_versions(), id=id)
        with serving_refusals():
            deployment = rollback(model=version.model, actor=actor_of(request), away_from=version.id)
        return Response(self.get_serializer(deployment).data)
