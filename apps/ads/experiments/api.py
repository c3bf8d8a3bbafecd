"""Experiments of campaigns under /api/v1/ads/experiments, and what they have shown."""

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.ads.campaigns.api import READ, TAGS, refusals, views_of
from apps.ads.experiments.models import Experiment
from apps.ads.experiments.report import experiment_report
from apps.ads.experiments.serializers import (
    AdExperimentReportSerializer,
    ExperimentBodySerializer,
    ExperimentFieldsSerializer,
    ExperimentListParameters,
    ExperimentSerializer,
)

VIEWS = views_of(
    Experiment,
    body=ExperimentBodySerializer,
    fields=ExperimentFieldsSerializer,
    answer=ExperimentSerializer,
    parameters=ExperimentListParameters,
)


class AdExperimentReportView(APIView):
    required_scopes = {"GET": READ}

    @extend_schema(
        operation_id="get_ad_experiment_report",
        tags=TAGS,
        summary="What each arm of an experiment got, with intervals",
        responses=AdExperimentReportSerializer,
    )
    def get(self, request: Request, id: UUID) -> Response:
        with refusals(Experiment, id):
            experiment = Experiment.objects.get(id=id)
        return Response({"arms": experiment_report(experiment)})
