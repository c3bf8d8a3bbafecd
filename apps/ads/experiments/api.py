"""Experiments of campaigns under /api/v1/ads/experiments, and what they have shown."""

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.serializers import QueryParameters
from apps.ads.campaigns.api import PARENT, READ, TAGS, refusals, views_of
from apps.ads.experiments.models import Experiment
from apps.ads.experiments.report import experiment_report
from apps.ads.experiments.serializers import (
    AdExperimentReportSerializer,
    ExperimentBodySerializer,
    ExperimentFieldsSerializer,
    ExperimentListParameters,
    ExperimentSerializer,
)

TWO_BIDS = {
    "name": "Two bids",
    "campaign_id": PARENT,
    "starts_at": "2030-10-01T00:00:00Z",
    "ends_at": "2030-10-15T00:00:00Z",
    "arms": [
        {"name": "low", "share": 0.5, "members": ["019ac0de-7a31-7f0a-9d55-2f6c0d4f9b12"]},
        {"name": "high", "share": 0.5, "members": ["019ac0de-7a31-7f0a-9d55-2f6c0d4f9b13"]},
    ],
}
VIEWS = views_of(
    Experiment,
    body=ExperimentBodySerializer,
    fields=ExperimentFieldsSerializer,
    answer=ExperimentSerializer,
    parameters=ExperimentListParameters,
    example=("two bids", TWO_BIDS),
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
        QueryParameters.of(request)  # there are none
        with refusals(Experiment, id):
            experiment = Experiment.objects.get(id=id)
        return Response({"arms": experiment_report(experiment)})
