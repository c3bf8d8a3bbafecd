"""Cases for the client's own case management."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.errors import Conflict
from api.idempotency import IdempotentWrites
from api.model_actions import actor_of, person_of
from apps.risk.cases import services
from apps.risk.cases.merging import linked_cases, merge
from apps.risk.cases.models import UNDER_WAY, Case, CaseEvent
from apps.risk.cases.raising import lock_cases
from apps.risk.cases.selectors import cases, events_of
from apps.risk.cases.serializers import (
    CaseChangesSerializer,
    CaseEventSerializer,
    CaseFilterSerializer,
    CaseMergeSerializer,
    CaseNoteSerializer,
    CaseReleaseSerializer,
    CaseSerializer,
    LinkedCaseSerializer,
)
from apps.risk.transactions.models import Label

READ, WRITE = "risk-cases:read", "risk-cases:write"
TAGS = ["risk cases"]


@contextmanager
def case_refusals(case_id: UUID) -> Iterator[None]:
    try:
        yield
    except Case.DoesNotExist:
        raise NotFound(f"there is no case {case_id}") from None
    except (services.CaseChanged, services.SameEyes) as error:
        raise Conflict(str(error)) from error


class CasesView(GenericAPIView):
    required_scopes = {"GET": READ}
    parameters = CaseFilterSerializer
    serializer_class = CaseSerializer

    def get_queryset(self) -> QuerySet[Case]:
        return cases(**self.parameters.of(self.request))

    @extend_schema(
        operation_id="list_risk_cases",
        tags=TAGS,
        summary="A page of cases, newest first",
        parameters=[CaseFilterSerializer],
        responses=CaseSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


@extend_schema(tags=TAGS)
class CaseView(IdempotentWrites):
    required_scopes = {"GET": READ, "PATCH": WRITE}

    @extend_schema(operation_id="get_risk_case", summary="One case", responses=CaseSerializer)
    def get(self, request: Request, id: UUID) -> Response:
        with case_refusals(id):
            return Response(CaseSerializer(Case.objects.get(id=id)).data)

    @extend_schema(
        operation_id="change_risk_case",
        summary="Assign a case, or move it",
        description="Closing a case writes labels of its alerted transactions. A case of high or critical severity "
        "that is to be a false alarm stays as it is until another caller approves (POST .../release). A case that has "
        "changed since `version` is refused with 409.",
        request=CaseChangesSerializer,
        responses=CaseSerializer,
        examples=[OpenApiExample("confirm", {"version": 3, "status": "confirmed"}, request_only=True)],
    )
    def patch(self, request: Request, id: UUID) -> Response:
        asked = CaseChangesSerializer.read(request.data)
        actor, version = actor_of(request), asked["version"]
        # Both changes, or none.
        with case_refusals(id), transaction.atomic():
            if asked.get("status") in UNDER_WAY:
                # Before the case itself, as everybody does who takes both.
                lock_cases()
            if "assignee" in asked:
                case = services.assign(case_id=id, assignee=asked["assignee"], actor=actor, version=version)
                version = case.version
            if "status" in asked:
                case = services.move(
                    case_id=id,
                    to=asked["status"],
                    actor=actor,
                    person=person_of(request),
                    version=version,
                    source=Label.Source.API,
                )
        return Response(CaseSerializer(case).data)


class CaseEventsView(IdempotentWrites, GenericAPIView):
    required_scopes = {"GET": READ, "POST": WRITE}
    serializer_class = CaseEventSerializer
    queryset = CaseEvent.objects.none()

    @extend_schema(
        operation_id="list_risk_case_events",
        tags=TAGS,
        summary="What was done with a case, newest first",
        responses=CaseEventSerializer(many=True),
    )
    def get(self, request: Request, id: UUID) -> Response:
        with case_refusals(id):
            Case.objects.get(id=id)
        page = self.paginate_queryset(events_of(id))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        operation_id="add_risk_case_note",
        tags=TAGS,
        summary="Add a note to a case",
        request=CaseNoteSerializer,
        responses={201: CaseSerializer},
    )
    def post(self, request: Request, id: UUID) -> Response:
        asked = CaseNoteSerializer.read(request.data)
        with case_refusals(id):
            case = services.add_note(case_id=id, note=asked["note"], actor=actor_of(request))
        return Response(CaseSerializer(case).data, status=201)


class CaseReleaseView(IdempotentWrites):
    required_scopes = {"POST": WRITE}

    @extend_schema(
        operation_id="decide_risk_case_release",
        tags=TAGS,
        summary="Approve or refuse that a severe case is closed as a false alarm",
        description="Whoever asked for it cannot approve it: that is refused with 409. The keys that one member made "
        "in the console count as this member.",
        request=CaseReleaseSerializer,
        responses=CaseSerializer,
    )
    def post(self, request: Request, id: UUID) -> Response:
        asked = CaseReleaseSerializer.read(request.data)
        with case_refusals(id):
            case = services.decide_release(
                case_id=id, actor=actor_of(request), person=person_of(request), source=Label.Source.API, **asked
            )
        return Response(CaseSerializer(case).data)


class LinkedCasesView(APIView):
    required_scopes = {"GET": READ}

    @extend_schema(
        operation_id="list_linked_risk_cases",
        tags=TAGS,
        summary="Other cases under way whose subjects used the same things",
        description="Cards, devices, addresses and counterparties; not those that more than `link_most_subjects` "
        "(risk/settings) other subjects used. The most tied first.",
        responses=LinkedCaseSerializer(many=True),
    )
    def get(self, request: Request, id: UUID) -> Response:
        with case_refusals(id):
            return Response(LinkedCaseSerializer(linked_cases(Case.objects.get(id=id)), many=True).data)


class CaseMergeView(IdempotentWrites):
    required_scopes = {"POST": WRITE}

    @extend_schema(
        operation_id="merge_risk_cases",
        tags=TAGS,
        summary="Bring the alerts of another case into this one",
        description="Both must be under way. The other is closed as `merged`; what comes of its subject joins this.",
        request=CaseMergeSerializer,
        responses=CaseSerializer,
    )
    def post(self, request: Request, id: UUID) -> Response:
        asked = CaseMergeSerializer.read(request.data)
        with case_refusals(id):
            case = merge(case_id=id, other_id=asked["case"], actor=actor_of(request), version=asked["version"])
        return Response(CaseSerializer(case).data)
