"""Replies: one for each inbound message, what became of it, and which backends write them."""

from django.db import models

from apps.service.conversations.models import Conversation, Message
from tenancy.models import TenantOwned


class ReplyAction(models.TextChoices):
    SEND = "send", "Send"
    DRAFT = "draft", "Draft for an agent"
    HAND_OFF = "hand_off", "Hand off"


class ReplyStatus(models.TextChoices):
    UNDER_WAY = "under_way", "Under way"
    WAITING = "waiting", "Waiting for an agent"
    SENT = "sent", "Sent"
    HANDED_OFF = "handed_off", "Handed off"
    ACCEPTED = "accepted", "Accepted"
    EDITED = "edited", "Edited"
    REJECTED = "rejected", "Rejected"
    SUPERSEDED = "superseded", "Superseded by a newer message"


JUDGED = (ReplyStatus.ACCEPTED, ReplyStatus.EDITED, ReplyStatus.REJECTED)
# The customer has it, as it was or as an agent changed it.
GIVEN = (ReplyStatus.SENT, ReplyStatus.ACCEPTED, ReplyStatus.EDITED)


class Reply(TenantOwned):
    """The answer to one customer's message, as a job and as its outcome; at most one for each message.

    While a generation is under way `text` holds what answers if it fails. An agent's judgement is the label:
    `final_text` is what was sent and `edit_distance` how much of it the agent changed, 0 to 1.
    """

    conversation = models.ForeignKey(
        Conversation, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="replies"
    )
    message = models.ForeignKey(Message, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    decision_id = models.UUIDField()
    status = models.CharField(max_length=10, choices=ReplyStatus.choices)
    action = models.CharField(max_length=8, choices=ReplyAction.choices)
    text = models.TextField(blank=True)
    citations = models.JSONField(default=list)
    suggestions = models.JSONField(default=list)
    reasons = models.JSONField(default=list)
    summary = models.JSONField(null=True)
    intent = models.CharField(max_length=200, null=True)
    sentiment = models.CharField(max_length=10, blank=True, default="", db_default="")
    urgency = models.CharField(max_length=10, blank=True, default="", db_default="")
    confidence = models.FloatField()
    backend = models.CharField(max_length=100, help_text="what wrote it: selection, extractive, or a backend's name")
    model_version = models.UUIDField(null=True)
    degraded = models.CharField(max_length=50, null=True)
    variant = models.CharField(
        max_length=10,
        blank=True,
        default="",
        db_default="",
        help_text="what chose it: model or words, where there is a model",
    )
    experiment = models.UUIDField(null=True, help_text="which one it was answered in")
    arm = models.CharField(max_length=10, blank=True, default="", db_default="", help_text="of the experiment")
    tokens = models.PositiveIntegerField(
        default=0, db_default=0, help_text="that language models read and wrote for it, reckoned"
    )
    final_text = models.TextField(blank=True)
    edit_distance = models.FloatField(null=True)
    judged_by = models.CharField(max_length=200, blank=True)
    note = models.TextField(blank=True)
    created_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, help_text="when it was sent, judged, handed off or superseded")

    class Meta:
        verbose_name_plural = "replies"
        constraints = [models.UniqueConstraint(fields=["tenant", "message"], name="reply_message")]
        indexes = [
            models.Index("tenant", "conversation", models.F("created_at").desc(), name="reply_conversation"),
            models.Index("tenant", "status", models.F("created_at").desc(), name="reply_status"),
            models.Index(
                fields=["tenant", "experiment"],
                condition=models.Q(experiment__isnull=False),
                name="reply_experiment",
            ),
        ]

    def __str__(self) -> str:
        return self.text[:80] or self.get_action_display()


class BackendKind(models.TextChoices):
    EXTRACTIVE = "extractive", "Extractive: sentences of the cited sources"
    OPENAI_COMPATIBLE = "openai_compatible", "A server that speaks the OpenAI chat API"
    TRANSFORMERS = "transformers", "A local model of the transformers library"


class ReplyBackend(TenantOwned):
    """One of the backends that write replies where no macro or past reply fits, in their order."""

    position = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=20, choices=BackendKind.choices)
    name = models.CharField(max_length=100)
    base_url = models.CharField(max_length=500, blank=True)
    model = models.CharField(max_length=200, blank=True, help_text="the server's name of it, or the local one's")
    sealed_key = models.BinaryField(null=True)
    timeout_seconds = models.FloatField(default=20.0)
    is_active = models.BooleanField(default=True)
    changed_by = models.CharField(max_length=200)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="reply_backend_name")]

    def __str__(self) -> str:
        return self.name
