"""Shapes of the alerts and cases API."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from api.identities import SubjectIdField
from api.serializers import StrictSerializer
from apps.risk.assessments.serializers import AssessmentReasonSerializer, RuleHitSerializer
from apps.risk.assessments.verdicts import Verdict
from apps.risk.cases.models import Alert, Case, CaseEvent, CaseStatus
from apps.risk.cases.services import LONGEST_NOTE
from apps.risk.rules.models import RiskSeverity
from tenancy.secrets import public_subject_id


class AlertFilterSerializer(serializers.Serializer):
    status = serializers.ChoiceField(CaseStatus.choices, required=False, help_text="of the alert's case")
    severity = serializers.ChoiceField(RiskSeverity.choices, required=False)
    since = serializers.DateTimeField(required=False, help_text="raised at this time or later")
    user_id = SubjectIdField(required=False, help_text="of the subject, as the client names it")


class CaseFilterSerializer(serializers.Serializer):
    status = serializers.ChoiceField(CaseStatus.choices, required=False)
    severity = serializers.ChoiceField(RiskSeverity.choices, required=False)
    assignee = serializers.CharField(required=False, max_length=200)
    overdue = serializers.BooleanField(required=False, allow_null=True, default=None)


class SubjectKeyMixin(serializers.Serializer):
    subject = serializers.SerializerMethodField(help_text="short form of the subject's keyed hash")

    @extend_schema_field(OpenApiTypes.STR)
    def get_subject(self, row: Alert | Case) -> str:
        return public_subject_id(bytes(row.subject_key))


class AlertSerializer(SubjectKeyMixin, serializers.ModelSerializer):
    case_id = serializers.UUIDField()
    case_number = serializers.IntegerField(source="case.number")
    status = serializers.ChoiceField(CaseStatus.choices, source="case.status", help_text="of the case")
    verdict = serializers.ChoiceField([str(each) for each in Verdict])
    reasons = AssessmentReasonSerializer(many=True)
    rules = RuleHitSerializer(many=True)

    class Meta:
        model = Alert
        fields = (
            *("id", "transaction_id", "decision_id", "subject", "case_id", "case_number", "status", "severity"),
            *("verdict", "score", "amount", "currency", "reasons", "rules", "occurred_at", "created_at"),
        )


class CaseSerializer(SubjectKeyMixin, serializers.ModelSerializer):
    overdue = serializers.BooleanField(source="is_overdue")

    class Meta:
        model = Case
        fields = (
            *("id", "number", "subject", "status", "severity", "assignee", "release_asked_by", "alert_count"),
            *("version", "opened_at", "due_at", "overdue", "closed_at"),
        )


class CaseEventSerializer(serializers.ModelSerializer):
    class Meta:
        model = CaseEvent
        fields = ("id", "kind", "actor", "before", "after", "note", "created_at")


class CaseChangesSerializer(StrictSerializer):
    """What can be changed of a case; `version` is the one that was seen."""

    version = serializers.IntegerField(min_value=1)
    status = serializers.ChoiceField(CaseStatus.choices, required=False)
    assignee = serializers.CharField(required=False, allow_blank=True, max_length=200)

    def validate(self, attrs: dict) -> dict:
        if attrs.keys() == {"version"}:
            raise serializers.ValidationError("name what shall change: status, assignee or both")
        return attrs


class CaseNoteSerializer(StrictSerializer):
    note = serializers.CharField(max_length=LONGEST_NOTE)


class CaseReleaseSerializer(StrictSerializer):
    version = serializers.IntegerField(min_value=1)
    approve = serializers.BooleanField()
