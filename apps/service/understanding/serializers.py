"""Shapes of intents, examples and understandings in the API."""

from rest_framework import serializers

from api.events import ReasonSerializer
from api.serializers import StrictSerializer
from apps.service.understanding.entities.kinds import KINDS
from apps.service.understanding.entities.orders import USUAL_PATTERNS
from apps.service.understanding.examples import MOST_NAME, MOST_TEXT, OUT_OF_SCOPE
from apps.service.understanding.models import Intent, IntentExample
from apps.service.understanding.services import MOST_EXAMPLES_AT_ONCE, MOST_PATTERNS

MOST_MESSAGE = 20_000
MOST_MESSAGES = 32
EXAMPLE_RESULTS = ("added", "duplicate", "rejected")
PROBLEM_KINDS = ("conflict", "similar")
SENTIMENTS = ("negative", "neutral", "positive")
URGENCIES = ("normal", "high")
LANGUAGES = ("en", "zh", "other")


class NewIntentSerializer(StrictSerializer):
    name = serializers.CharField(max_length=MOST_NAME, help_text="how models and replies name it; never changes")
    description = serializers.CharField(required=False, allow_blank=True, max_length=2000)
    auto_send = serializers.BooleanField(
        required=False, default=False, help_text="whether replies to it may go out without an agent"
    )


class IntentChangeSerializer(StrictSerializer):
    description = serializers.CharField(required=False, allow_blank=True, max_length=2000)
    auto_send = serializers.BooleanField(required=False)


class IntentSerializer(serializers.ModelSerializer):
    examples = serializers.IntegerField(source="example_count", read_only=True, help_text="how many it has")

    class Meta:
        model = Intent
        fields = ("id", "name", "description", "auto_send", "examples", "updated_by", "created_at", "updated_at")
        read_only_fields = fields


class IntentProblemSerializer(serializers.Serializer):
    kind = serializers.ChoiceField(PROBLEM_KINDS, help_text="conflict: nearly the same text has another intent")
    example_id = serializers.UUIDField()
    text = serializers.CharField()
    other_id = serializers.UUIDField()
    other = serializers.CharField(help_text="its text")
    other_intent = serializers.CharField(help_text=f"{OUT_OF_SCOPE} where it has none")
    similarity = serializers.FloatField(help_text="cosine of their words, up to 1")


class IntentProblemsSerializer(serializers.Serializer):
    problems = IntentProblemSerializer(many=True)


class NewIntentExampleSerializer(serializers.Serializer):
    text = serializers.CharField(max_length=MOST_TEXT)
    intent = serializers.CharField(
        max_length=MOST_NAME, help_text=f"the intent's name, or {OUT_OF_SCOPE} for a text that no intent covers"
    )


class NewIntentExamplesSerializer(serializers.Serializer):
    examples = serializers.ListField(child=NewIntentExampleSerializer(), max_length=MOST_EXAMPLES_AT_ONCE)


class IntentExampleResultSerializer(serializers.Serializer):
    result = serializers.ChoiceField(EXAMPLE_RESULTS)
    errors = ReasonSerializer(many=True, required=False)  # type: ignore[assignment]


class IntentExamplesAnswerSerializer(serializers.Serializer):
    counts = serializers.DictField(child=serializers.IntegerField())
    created_intents = serializers.ListField(child=serializers.CharField())
    results = IntentExampleResultSerializer(many=True, help_text="one for each example, in their order")


class IntentExampleSerializer(serializers.ModelSerializer):
    intent = serializers.SerializerMethodField()

    class Meta:
        model = IntentExample
        fields = ("id", "text", "intent", "added_by", "created_at")
        read_only_fields = fields

    def get_intent(self, example: IntentExample) -> str:
        return example.intent.name if example.intent else OUT_OF_SCOPE


class UnderstandingSettingsSerializer(StrictSerializer):
    order_patterns = serializers.ListField(
        child=serializers.CharField(max_length=100, trim_whitespace=False),
        max_length=MOST_PATTERNS,
        help_text="how order ids are written: text as it is, {digits:6}, {letters:2-4} and {any:8} for what changes; "
        f"an empty list means {' and '.join(USUAL_PATTERNS)}",
    )


class MessageSerializer(StrictSerializer):
    text = serializers.CharField(
        max_length=MOST_MESSAGE, allow_blank=True, trim_whitespace=False, help_text="plain or HTML"
    )


class AlternativeSerializer(serializers.Serializer):
    intent = serializers.CharField()
    share = serializers.FloatField(help_text="its part of what was thought possible; not calibrated")


class EntitySerializer(serializers.Serializer):
    kind = serializers.ChoiceField(KINDS)
    text = serializers.CharField()
    start = serializers.IntegerField(help_text="first character in the message, from 0")
    end = serializers.IntegerField(help_text="the character after its last one")
    value = serializers.DictField(
        child=serializers.CharField(),
        help_text='{"id"}, of a product with {"title"}; {"date"}; {"amount", "currency"}; {"address"}; {"number"}',
    )


class UnderstandingSerializer(serializers.Serializer):
    intent = serializers.CharField(allow_null=True)
    confidence = serializers.FloatField(
        help_text="calibrated probability of the intent; with degraded `examples`, likeness to the nearest one"
    )
    out_of_scope = serializers.BooleanField(help_text="no answer should rest on the intent")
    alternatives = AlternativeSerializer(many=True)
    entities = EntitySerializer(many=True)
    sentiment = serializers.ChoiceField(SENTIMENTS)
    urgency = serializers.ChoiceField(URGENCIES)
    language = serializers.ChoiceField(LANGUAGES)
    model_version = serializers.UUIDField(allow_null=True)
    degraded = serializers.CharField(
        allow_null=True,
        help_text="null where the live model answered, else `previous_version`, `examples` or `no_intents`",
    )
