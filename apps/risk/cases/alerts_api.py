"""Alerts for the client's own case management: read, and decided one by one."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from api.errors import Conflict
from api.idempotency import IdempotentWrites
from api.model_actions import actor_of, person_of
from apps.risk.cases.api import READ, TAGS, WRITE
from apps.risk.cases.deciding import change_alert, change_alerts, decide_alert_release
from apps.risk.cases.models import Alert
from apps.risk.cases.selectors import alerts
from apps.risk.cases.serializers import (
    AlertChangesSerializer,
    AlertFilterSerializer,
    AlertsChangedSerializer,
    AlertsChangesSerializer,
    AlertSerializer,
    AlertWithEventsSerializer,
    CaseReleaseSerializer,
)
from apps.risk.cases.services import CaseChanged, SameEyes
from apps.risk.cases.weighed import weighed_events
from apps.risk.transactions.models import Label
from tenancy.secrets import subject_key


@contextmanager
def alert_refusals(alert_id: UUID) -> Iterator[None]:
    try:
        yield
    except Alert.DoesNotExist:
        raise NotFound(f"there is no alert {alert_id}") from None
    except (CaseChanged, SameEyes) as error:
        raise Conflict(str(error)) from error


def who(request: Request) -> dict[str, Any]:
    return {"actor": actor_of(request), "person": person_of(request), "source": Label.Source.API}


class AlertsView(IdempotentWrites, GenericAPIView):
    required_scopes = {"GET": READ, "PATCH": WRITE}
    parameters = AlertFilterSerializer
    serializer_class = AlertSerializer

    def get_queryset(self) -> QuerySet[Alert]:
        asked = self.parameters.of(self.request)
        user_id = asked.pop("user_id", None)
        return alerts(subject_key=subject_key("user_id", user_id) if user_id else None, **asked)

    @extend_schema(
        operation_id="list_risk_alerts",
        tags=TAGS,
        summary="A page of alerts, newest first",
        parameters=[AlertFilterSerializer],
        responses=AlertSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        operation_id="change_risk_alerts",
        tags=TAGS,
        summary="Decide on several alerts",
        description="As PATCH risk/alerts/{id}, for up to 200 alerts whatever their versions, each judged on its own.",
        request=AlertsChangesSerializer,
        responses=AlertsChangedSerializer,
    )
    def patch(self, request: Request) -> Response:
        asked = AlertsChangesSerializer.read(request.data)
        ids = asked.pop("ids")
        found = change_alerts(alert_ids=ids, **asked, **who(request))
        results = [
            {"id": id, "result": "refused", "reason": each}
            if isinstance(each, str)
            else {"id": id, "result": "ok", "alert": each}
            for id, each in zip(ids, found, strict=True)
        ]
        return Response(AlertsChangedSerializer({"results": results}).data)


@extend_schema(tags=TAGS)
class AlertView(IdempotentWrites):
    required_scopes = {"GET": READ, "PATCH": WRITE}

    @extend_schema(operation_id="get_risk_alert", summary="One alert", responses=AlertWithEventsSerializer)
    def get(self, request: Request, id: UUID) -> Response:
        found = alerts().filter(id=id).first()
        if found is None:
            raise NotFound(f"there is no alert {id}")
        context = {"events": weighed_events([found]).get(found.id, [])}
        return Response(AlertWithEventsSerializer(found, context=context).data)

    @extend_schema(
        operation_id="change_risk_alert",
        summary="Decide on an alert, or assign its case",
        description="`confirmed` and `false_alarm` label this one transaction, known from now; the others of its case "
        "wait on, and the case is closed with its last alert. An alert of high or critical severity that is to be a "
        "false alarm stays as it is until another caller approves (POST .../release). An alert whose case has changed "
        "since `version` is refused with 409; one whose case is closed with 400, until the case is reopened.",
        request=AlertChangesSerializer,
        responses=AlertSerializer,
        examples=[OpenApiExample("confirm", {"version": 3, "status": "confirmed"}, request_only=True)],
    )
    def patch(self, request: Request, id: UUID) -> Response:
        asked = AlertChangesSerializer.read(request.data)
        with alert_refusals(id):
            return Response(AlertSerializer(change_alert(alert_id=id, **asked, **who(request))).data)


class AlertReleaseView(IdempotentWrites):
    required_scopes = {"POST": WRITE}

    @extend_schema(
        operation_id="decide_risk_alert_release",
        tags=TAGS,
        summary="Approve or refuse that a severe alert is a false alarm",
        description="Whoever asked for it cannot approve it: that is refused with 409.",
        request=CaseReleaseSerializer,
        responses=AlertSerializer,
    )
    def post(self, request: Request, id: UUID) -> Response:
        asked = CaseReleaseSerializer.read(request.data)
        with alert_refusals(id):
            return Response(AlertSerializer(decide_alert_release(alert_id=id, **asked, **who(request))).data)
