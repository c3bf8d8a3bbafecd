"""Shapes of the knowledge API."""

from typing import Any

from rest_framework import serializers

from api.serializers import ListParameters, ObjectField, StrictSerializer
from apps.service.knowledge.models import (
    LONGEST_BODY,
    KnowledgeImport,
    Source,
    SourceAudience,
    SourceKind,
    SourceLanguage,
    SourceStatus,
    SourceVersion,
)
from apps.service.knowledge.searching import LONGEST_QUERY, MOST_PASSAGES, STAGES
from apps.service.knowledge.services import FIELDS, MOST_NAMES


def names_field(help_text: str) -> serializers.ListField:
    return serializers.ListField(
        child=serializers.CharField(max_length=50), max_length=MOST_NAMES, required=False, help_text=help_text
    )


class SourceFieldsSerializer(StrictSerializer):
    """What can be changed of a source."""

    title = serializers.CharField(max_length=300)
    body = serializers.CharField(
        max_length=LONGEST_BODY,
        allow_blank=True,
        trim_whitespace=False,
        help_text="Markdown; a macro's may hold slots such as {{order.id}}",
    )
    language = serializers.ChoiceField(SourceLanguage.choices, required=False)
    audience = serializers.ChoiceField(SourceAudience.choices, required=False)
    segments = names_field("of customers, for the audience 'segment'")
    tags = names_field("for finding it again in lists")
    valid_from = serializers.DateTimeField(required=False, allow_null=True)
    valid_until = serializers.DateTimeField(required=False, allow_null=True)


class SourceBodySerializer(SourceFieldsSerializer):
    """A source as it is made."""

    external_id = serializers.CharField(
        required=False, max_length=200, help_text="your own id of it; unique, and it never changes"
    )
    publish = serializers.BooleanField(required=False, help_text="false makes a draft")


class SimilarSourceSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    title = serializers.CharField()
    status = serializers.ChoiceField(SourceStatus.choices)
    similarity = serializers.FloatField(help_text="share of words that the titles have in common; 1 is the same text")


class SourceSerializer(serializers.ModelSerializer):
    stripped = ObjectField(
        read_only=True,
        help_text="what was taken out of the text as no reader would see it: hidden parts of HTML, scripts, comments, "
        "zero-width, direction and control characters, by how often",
    )

    class Meta:
        model = Source
        fields: tuple[str, ...] = (
            "id",
            "kind",
            "external_id",
            *FIELDS,
            "status",
            "version",
            "stripped",
            "created_by",
            "updated_by",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields


class WrittenSourceSerializer(SourceSerializer):
    similar = SimilarSourceSerializer(many=True, help_text="others that may say the same")

    class Meta:
        model = Source
        fields = (*SourceSerializer.Meta.fields, "similar")
        read_only_fields = fields


class SourceListParameters(ListParameters):
    status = serializers.ChoiceField(SourceStatus.choices, required=False)
    language = serializers.ChoiceField(SourceLanguage.choices, required=False)
    audience = serializers.ChoiceField(SourceAudience.choices, required=False)
    tag = serializers.CharField(required=False, max_length=50)
    external_id = serializers.CharField(required=False, max_length=200)


class SourceVersionSerializer(serializers.ModelSerializer):
    action = serializers.ChoiceField(SourceVersion.Action.choices, read_only=True)
    contents = ObjectField(read_only=True, help_text="the source as it was after the change")

    class Meta:
        model = SourceVersion
        fields = ("version", "action", "actor", "created_at", "contents")
        read_only_fields = fields


class SourceRestoreSerializer(StrictSerializer):
    version = serializers.IntegerField(min_value=1, max_value=2_000_000_000, help_text="from the source's versions")


class KnowledgeSearchBodySerializer(StrictSerializer):
    query = serializers.CharField(
        max_length=LONGEST_QUERY, help_text="a question or a message as the customer wrote it"
    )
    language = serializers.ChoiceField(SourceLanguage.choices, required=False, help_text="without it any")
    audience = serializers.ChoiceField(
        SourceAudience.choices,
        default=SourceAudience.PUBLIC,
        help_text="who will read it: everybody, customers of `segments`, or agents, who see everything",
    )
    segments = names_field("of the customer, with the audience 'segment'")
    kinds = serializers.ListField(
        child=serializers.ChoiceField(SourceKind.choices), min_length=1, required=False, help_text="without it all"
    )
    count = serializers.IntegerField(default=5, min_value=1, max_value=MOST_PASSAGES)
    stages = serializers.ListField(
        child=serializers.ChoiceField(STAGES), min_length=1, required=False, help_text="without it all"
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.get("segments") and attrs["audience"] != SourceAudience.SEGMENT:
            message = "count with the audience 'segment' alone; name it, or leave them out"
            raise serializers.ValidationError({"segments": message})
        return attrs


class PassageScoresSerializer(serializers.Serializer):
    """Null where a stage did not find or judge the passage."""

    full_text = serializers.FloatField(allow_null=True, help_text="relevance of its words")
    dense = serializers.FloatField(allow_null=True, help_text="cosine to the query")
    fuse = serializers.FloatField(allow_null=True, help_text="sum of 1 / (60 + rank)")
    rerank = serializers.FloatField(
        allow_null=True, help_text="soft maximum of the cosines to the query's sentences, and a share for words"
    )
    cross_encode = serializers.FloatField(allow_null=True, help_text="probability that it answers the query, 0 to 1")


class PassageSerializer(serializers.Serializer):
    source_id = serializers.UUIDField()
    version = serializers.IntegerField(help_text="of the source")
    kind = serializers.ChoiceField(SourceKind.choices)
    title = serializers.CharField()
    quote = serializers.CharField(help_text="the sentence that answers best, word for word")
    text = serializers.CharField(help_text="the whole passage")
    score = serializers.FloatField(help_text="of the last stage that judged it")
    stages = PassageScoresSerializer(help_text="its score at each stage")


class SearchStageSerializer(serializers.Serializer):
    name = serializers.ChoiceField(STAGES)
    ran = serializers.BooleanField()
    reason = serializers.CharField(allow_blank=True, help_text="why it did not run")
    found = serializers.IntegerField()
    milliseconds = serializers.FloatField()


class KnowledgeSearchSerializer(serializers.Serializer):
    passages = PassageSerializer(many=True)
    stages = SearchStageSerializer(many=True)


class ImportFileSerializer(StrictSerializer):
    name = serializers.CharField(max_length=200, help_text="its ending says what it is: .md, .csv, .html")
    content = serializers.CharField(trim_whitespace=False, allow_blank=True)


class KnowledgeImportBodySerializer(StrictSerializer):
    files = serializers.ListField(child=ImportFileSerializer(), min_length=1)
    kind = serializers.ChoiceField(SourceKind.choices, default=SourceKind.ARTICLE, help_text="where a row says none")
    language = serializers.ChoiceField(SourceLanguage.choices, required=False, help_text="where a row says none")
    audience = serializers.ChoiceField(SourceAudience.choices, required=False, help_text="where a row says none")
    publish = serializers.BooleanField(
        default=False, help_text="false makes drafts of what is new, true publishes known drafts too"
    )


class ImportResultSerializer(serializers.Serializer):
    file = serializers.CharField()
    line = serializers.IntegerField(help_text="where the row begins, from 1")
    result = serializers.ChoiceField(["ok", "duplicate", "rejected"])
    reasons = serializers.ListField(child=serializers.CharField(), help_text="why it was rejected, or is not found")
    external_id = serializers.CharField(allow_blank=True)
    source_id = serializers.UUIDField(allow_null=True)
    stripped = ObjectField()


class KnowledgeImportSerializer(serializers.ModelSerializer):
    counts = ObjectField(read_only=True, help_text="how many rows were ok, duplicate and rejected")
    results = ImportResultSerializer(many=True, read_only=True, help_text="one for each row, in their order")

    class Meta:
        model = KnowledgeImport
        fields: tuple[str, ...] = ("id", "files", "counts", "results", "actor", "created_at")
        read_only_fields = fields


class KnowledgeImportSummarySerializer(KnowledgeImportSerializer):
    class Meta:
        model = KnowledgeImport
        fields = ("id", "files", "counts", "actor", "created_at")
        read_only_fields = fields
