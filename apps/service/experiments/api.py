"""Experiments over versions of models under /api/v1/service/experiments."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from api.idempotency import IdempotentWrites
from api.model_actions import actor_of, serving_refusals
from apps.service.experiments.models import Experiment
from apps.service.experiments.report import experiment_report
from apps.service.experiments.selectors import experiments
from apps.service.experiments.serializers import (
    ArmToPromoteSerializer,
    ServiceExperimentBodySerializer,
    ServiceExperimentReportSerializer,
    ServiceExperimentSerializer,
)
from apps.service.experiments.services import promote_arm, start, stop
from serving.services import StateConflict

READ, WRITE = "models:read", "models:write"
TAGS = ["models"]
HALVES = {"name": "Version 7 of replies", "challenger": "019ac0de-7a31-7f0a-9d55-2f6c0d4f9b11", "share": 0.5}


@contextmanager
def refusals(experiment_id: UUID | None = None) -> Iterator[None]:
    """404 for what is not there, 409 where things stand otherwise, 400 that names the field."""
    try:
        with serving_refusals():
            yield
    except Experiment.DoesNotExist as error:
        raise NotFound(f"there is no experiment {experiment_id}") from error
    except StateConflict:
        raise
    except DjangoValidationError as error:
        raise ValidationError(error.message_dict) from error


class ServiceExperimentsView(IdempotentWrites, GenericAPIView):
    required_scopes = {"GET": READ, "POST": WRITE}
    serializer_class = ServiceExperimentSerializer

    def get_queryset(self) -> QuerySet[Experiment]:
        return experiments()

    @extend_schema(
        operation_id="list_service_experiments",
        tags=TAGS,
        summary="Experiments of customer service, newest first",
        responses=ServiceExperimentSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        operation_id="start_service_experiment",
        tags=TAGS,
        summary="Let a version answer a share of the conversations, beside the live one of its line",
        description="Of the lines intents, replies and cross-encoder. A conversation stays with its version, by a hash "
        "of its id; decisions and replies carry the arm. One experiment runs at a time.",
        request=ServiceExperimentBodySerializer,
        responses={201: ServiceExperimentSerializer},
        examples=[OpenApiExample("half of the conversations", HALVES, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        body = ServiceExperimentBodySerializer.read(request.data)
        with refusals():
            made = start(
                name=body["name"], challenger_id=body["challenger"], share=body["share"], actor=actor_of(request)
            )
        return Response(self.get_serializer(made).data, status=201)


class ServiceExperimentView(GenericAPIView):
    required_scopes = {"GET": READ}
    serializer_class = ServiceExperimentSerializer

    @extend_schema(operation_id="get_service_experiment", tags=TAGS, summary="One experiment")
    def get(self, request: Request, id: UUID) -> Response:
        with refusals(id):
            return Response(self.get_serializer(experiments().get(id=id)).data)


class ServiceExperimentReportView(GenericAPIView):
    required_scopes = {"GET": READ}
    serializer_class = ServiceExperimentReportSerializer

    @extend_schema(
        operation_id="get_service_experiment_report",
        tags=TAGS,
        summary="Acceptance, edit distance, containment and satisfaction of each arm, with intervals",
    )
    def get(self, request: Request, id: UUID) -> Response:
        with refusals(id):
            found = experiments().get(id=id)
        return Response({"arms": experiment_report(found)})


class StopServiceExperimentView(IdempotentWrites, GenericAPIView):
    required_scopes = {"POST": WRITE}
    serializer_class = ServiceExperimentSerializer

    @extend_schema(
        operation_id="stop_service_experiment",
        tags=TAGS,
        summary="End it; the live version answers all conversations again",
        request=None,
    )
    def post(self, request: Request, id: UUID) -> Response:
        with refusals(id):
            return Response(self.get_serializer(stop(experiment_id=id, actor=actor_of(request))).data)


class PromoteArmView(IdempotentWrites, GenericAPIView):
    required_scopes = {"POST": WRITE}
    serializer_class = ServiceExperimentSerializer

    @extend_schema(
        operation_id="promote_service_experiment",
        tags=TAGS,
        summary="End it, and let the version of an arm answer for its line",
        request=ArmToPromoteSerializer,
        examples=[OpenApiExample("the challenger", {"arm": "challenger"}, request_only=True)],
    )
    def post(self, request: Request, id: UUID) -> Response:
        arm = ArmToPromoteSerializer.read(request.data)["arm"]
        with refusals(id):
            ended = promote_arm(experiment_id=id, arm=arm, actor=actor_of(request))
        return Response(self.get_serializer(ended).data)
