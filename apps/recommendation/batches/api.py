"""Batches: start one, follow it, download its file, cancel it."""

from typing import Any
from uuid import UUID

from django.http import FileResponse, Http404
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.exceptions import NotFound
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from api.errors import CONTENT_TYPE, Conflict
from api.idempotency import IdempotentWrites
from api.model_actions import actor_of
from api.renderers import AnyContentType
from api.schema import ProblemSerializer
from api.serializers import StrictSerializer
from apps.recommendation.batches import files as batch_files
from apps.recommendation.batches.services import (
    MOST_ITEMS,
    MOST_SUBJECTS,
    BatchUnderWay,
    batches,
    discard,
    progress_of,
    request_batch,
)
from apps.recommendation.models import Batch, BatchFormat
from apps.recommendation.selectors import UnknownScenario
from apps.recommendation.serializers import FilterField, ParamsField, SubjectField
from behavior.subjects import Subject

EVERYBODY = "all"
SCOPES = {"GET": "batches:read", "POST": "batches:write", "DELETE": "batches:write"}
FILE_SCHEMA = {
    (200, content_type.partition(";")[0]): OpenApiTypes.BINARY for content_type in batch_files.CONTENT_TYPES.values()
}
REQUEST = OpenApiExample(
    "Everybody, in stock and not dear",
    value={
        "scenario": "email",
        "count": 12,
        "filter": {"range": {"field": "price", "lte": 80}},
        "format": "parquet",
        "subjects": "all",
    },
    request_only=True,
)
CHOSEN = OpenApiExample(
    "Some subjects",
    value={"scenario": "email", "format": "csv", "subjects": [{"user_id": "u-17"}, {"anonymous_id": "a-981"}]},
    request_only=True,
)


@extend_schema_field(
    {
        "oneOf": [
            {"type": "string", "enum": [EVERYBODY]},
            {
                "type": "array",
                "minItems": 1,
                "maxItems": MOST_SUBJECTS,
                "items": {
                    "type": "object",
                    "properties": {"user_id": {"type": "string"}, "anonymous_id": {"type": "string"}},
                },
            },
        ],
        "default": EVERYBODY,
    }
)
class SubjectsField(serializers.Field):
    """Everybody (None), or a list of subjects."""

    def to_internal_value(self, data: Any) -> list[Subject] | None:
        if data == EVERYBODY:
            return None
        subjects = serializers.ListField(child=SubjectField(), min_length=1, max_length=MOST_SUBJECTS)
        if not isinstance(data, list):
            raise serializers.ValidationError(f'must be "{EVERYBODY}" or a list of subjects', code="wrong_type")
        return subjects.run_validation(data)


class BatchRequestSerializer(StrictSerializer):
    """Lists for many subjects at once."""

    scenario = serializers.SlugField(max_length=50, default="email", help_text="Key of the scenario, such as email.")
    count = serializers.IntegerField(default=12, min_value=1, max_value=MOST_ITEMS, help_text="Items in each list.")
    filter = FilterField(required=False, allow_null=True, help_text="Which items may appear; the same as in GET items.")
    params = ParamsField(required=False, help_text="Scenario settings replaced for this batch.")
    format = serializers.ChoiceField(BatchFormat.choices, default=BatchFormat.PARQUET)
    subjects = SubjectsField(
        default=None, help_text="all: every subject whose newest event carries consent to personalise."
    )


class BatchProgressSerializer(serializers.Serializer):
    done = serializers.IntegerField(help_text="Subjects.")
    total = serializers.IntegerField(help_text="Subjects; 0 until the batch is planned.")
    percent = serializers.FloatField()
    per_second = serializers.FloatField(allow_null=True, help_text="Subjects a second since the batch began.")
    estimated_end = serializers.DateTimeField(allow_null=True)


class BatchCountsSerializer(serializers.Serializer):
    lists = serializers.IntegerField(help_text="Subjects with a list; each list is a decision.")
    rows = serializers.IntegerField(help_text="Rows of the file: items of all lists.")
    empty = serializers.IntegerField(help_text="Subjects for whom no item is left.")
    left_out = serializers.IntegerField(help_text="Subjects asked for who have no events or did not agree.")
    degraded = serializers.IntegerField(help_text="Lists that something stood in for, as in recommendations.")
    failed = serializers.IntegerField(help_text="Subjects of chunks that were given up.")


class BatchFileSerializer(serializers.Serializer):
    path = serializers.CharField(help_text="Address of the download.")
    bytes = serializers.IntegerField()


class BatchSerializer(serializers.ModelSerializer):
    progress = serializers.SerializerMethodField()
    counts = serializers.SerializerMethodField()
    errors = serializers.SerializerMethodField()  # type: ignore[assignment]
    file = serializers.SerializerMethodField(help_text="null until the batch has ended, and once its file is deleted.")

    class Meta:
        model = Batch
        fields = (
            *("id", "scenario", "count", "filter", "params", "format", "status"),
            *("progress", "counts", "errors", "file"),
            *("requested_by", "created_at", "started_at", "finished_at"),
        )
        read_only_fields = fields

    @extend_schema_field(BatchProgressSerializer)
    def get_progress(self, batch: Batch) -> dict[str, Any]:
        return dict(BatchProgressSerializer(self.context["progress"][batch.id]).data)

    @extend_schema_field(BatchCountsSerializer)
    def get_counts(self, batch: Batch) -> dict[str, Any]:
        return dict(BatchCountsSerializer(self.context["progress"][batch.id]).data)

    def get_errors(self, batch: Batch) -> list[str]:
        return self.context["progress"][batch.id].errors

    @extend_schema_field(BatchFileSerializer(allow_null=True))
    def get_file(self, batch: Batch) -> dict[str, Any] | None:
        if batch.file_bytes is None:
            return None
        return {"path": f"/api/v1/recommendations/batches/{batch.id}/file", "bytes": batch.file_bytes}


def present(*found: Batch) -> list[dict[str, Any]]:
    return list(BatchSerializer(found, many=True, context={"progress": progress_of(found)}).data)


class BatchesView(IdempotentWrites, GenericAPIView):
    required_scopes = SCOPES
    serializer_class = BatchSerializer

    @extend_schema(
        operation_id="list_batches",
        tags=["recommendations"],
        summary="Batches, newest first",
        responses=BatchSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        return self.get_paginated_response(present(*(self.paginate_queryset(batches()) or [])))

    @extend_schema(
        operation_id="start_batch",
        tags=["recommendations"],
        summary="Make lists for many subjects, as a file",
        description="One batch at a time for each scenario; a second one is refused with 409.",
        request=BatchRequestSerializer,
        responses={202: BatchSerializer},
        examples=[REQUEST, CHOSEN],
    )
    def post(self, request: Request) -> Response:
        wanted = BatchRequestSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        try:
            batch = request_batch(**wanted.validated_data, requested_by=actor_of(request))
        except UnknownScenario as error:
            raise NotFound(str(error)) from error
        except BatchUnderWay as error:
            raise Conflict("; ".join(error.messages)) from error
        return Response(present(batch)[0], status=status.HTTP_202_ACCEPTED)


class BatchView(IdempotentWrites):
    required_scopes = {"GET": "batches:read", "DELETE": "batches:write"}

    @extend_schema(
        operation_id="get_batch", tags=["recommendations"], summary="Follow a batch", responses=BatchSerializer
    )
    def get(self, request: Request, id: UUID) -> Response:
        return Response(present(get_object_or_404(batches(), id=id))[0])

    @extend_schema(
        operation_id="discard_batch",
        tags=["recommendations"],
        summary="Cancel a batch, or throw its file away",
        description="A batch under way is cancelled; one that has ended loses its file. Repeating it changes nothing.",
        responses=BatchSerializer,
    )
    def delete(self, request: Request, id: UUID) -> Response:
        try:
            batch = discard(id)
        except Batch.DoesNotExist:
            raise Http404(f"no batch {id}") from None
        return Response(present(batch)[0])


class BatchFileView(GenericAPIView):
    required_scopes = {"GET": "batches:read"}
    content_negotiation_class = AnyContentType

    @extend_schema(
        operation_id="download_batch",
        tags=["recommendations"],
        summary="Download the file of a batch",
        description="Columns: user_id (the raw id, of the kind beside it), kind (user_id or anonymous_id), "
        "decision_id, rank, item_id, score, reason, model_version. A batch that has not ended, or whose file is "
        "deleted, is refused with 409.",
        responses=FILE_SCHEMA | {(409, CONTENT_TYPE): ProblemSerializer},
    )
    def get(self, request: Request, id: UUID) -> FileResponse:
        try:
            return batch_files.open_file(get_object_or_404(batches(), id=id))
        except batch_files.NoFile as error:
            raise Conflict(str(error)) from error
