"""What customers and the business said to each other, and everything that was done with it."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from tenancy.models import TenantOwned


class ConversationStatus(models.TextChoices):
    OPEN = "open", "Open"
    WAITING = "waiting", "Waiting for the customer"
    HANDED_OFF = "handed_off", "Handed off"
    CLOSED = "closed", "Closed"


class Role(models.TextChoices):
    CUSTOMER = "customer", "Customer"
    AGENT = "agent", "Agent"
    BOT = "bot", "Bot"


class Conversation(TenantOwned):
    """One conversation of one customer on one channel.

    `waiting_since` is when the oldest customer's message came that nobody has answered; null where none waits.
    `hand_off` is what an agent needs to take over: {reasons, summary}, as the last hand-off left it. `external_id` is a
    help desk's own id of it, under `source`; where its ticket changes hands, each customer has a conversation under it.
    `version` grows with each change of an agent's.
    """

    subject_key = models.BinaryField()
    anonymous_key = models.BinaryField(null=True)
    channel = models.SlugField(max_length=30, db_index=False)
    language = models.CharField(max_length=10, blank=True, help_text="as the client says; else told from the messages")
    source = models.SlugField(max_length=30, db_index=False, default="api", help_text="api, or a help desk's name")
    external_id = models.CharField(max_length=200, null=True, db_collation="C")
    title = models.CharField(max_length=200, blank=True)
    segments = ArrayField(
        models.CharField(max_length=50),
        default=list,
        db_default=[],
        blank=True,
        help_text="of the customer, for sources that are not for everybody",
    )
    status = models.CharField(max_length=10, choices=ConversationStatus.choices, default=ConversationStatus.OPEN)
    assignee = models.CharField(max_length=200, blank=True)
    hand_off = models.JSONField(null=True)
    satisfaction = models.SmallIntegerField(null=True, help_text="what the customer gave, 1 to 5")
    message_count = models.PositiveIntegerField(default=0)
    version = models.PositiveIntegerField(default=1)
    opened_at = models.DateTimeField()
    last_message_at = models.DateTimeField(null=True)
    waiting_since = models.DateTimeField(null=True)
    first_response_at = models.DateTimeField(null=True)
    handed_off_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "source", "external_id", "subject_key"], name="conversation_ticket"
            ),
            models.CheckConstraint(
                condition=models.Q(satisfaction=None) | models.Q(satisfaction__range=(1, 5)),
                name="conversation_satisfaction",
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "status", "waiting_since"], name="conversation_queue"),
            models.Index("tenant", "subject_key", models.F("opened_at").desc(), name="conversation_subject"),
            models.Index(fields=["tenant", "assignee", "status"], name="conversation_assignee"),
        ]

    def __str__(self) -> str:
        return self.title or f"Conversation of {self.opened_at:%Y-%m-%d %H:%M}"

    @property
    def is_with_agent(self) -> bool:
        """Whether an agent has it, or was done with it: nothing is said in it without one."""
        return bool(self.assignee) or self.status in (ConversationStatus.HANDED_OFF, ConversationStatus.CLOSED)

    @property
    def keys(self) -> list[bytes]:
        """Keys of the customer, the user's first, as reads of the behaviour log take them."""
        key = bytes(self.subject_key)
        return [key] if self.anonymous_key is None else [key, bytes(self.anonymous_key)]


# Beginnings of `client_id` of what is written here: a reply, and an agent's answer in the console.
REPLY_ID, CONSOLE_ID = "reply:", "console:"


class Message(TenantOwned):
    """One message, as it was cleaned. Append-only. `number` counts from 1 in its conversation; `client_id` is the
    client's own id, under which it is stored once."""

    conversation = models.ForeignKey(
        Conversation, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="messages"
    )
    number = models.PositiveIntegerField()
    role = models.CharField(max_length=8, choices=Role.choices)
    author = models.CharField(max_length=200, blank=True, help_text="the name of the agent, or of another in a ticket")
    text = models.TextField()
    client_id = models.CharField(max_length=200, db_collation="C")
    event_id = models.UUIDField(help_text="of the event in the behaviour log")
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "conversation", "client_id"], name="message_client_id"),
            models.UniqueConstraint(fields=["tenant", "conversation", "number"], name="message_number"),
        ]

    def __str__(self) -> str:
        return f"{self.role} {self.number}"


class ConversationEvent(TenantOwned):
    """One thing that was done with a conversation. Append-only."""

    class Kind(models.TextChoices):
        ASSIGNED = "assigned", "Assigned"
        MOVED = "moved", "Moved"
        HANDED_OFF = "handed_off", "Handed off"
        RATED = "rated", "Rated"

    conversation = models.ForeignKey(
        Conversation, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="events"
    )
    kind = models.CharField(max_length=10, choices=Kind.choices)
    actor = models.CharField(max_length=200)
    before = models.CharField(max_length=200, blank=True)
    after = models.CharField(max_length=200, blank=True)
    note = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [
            models.Index("tenant", "conversation", models.F("created_at").desc(), name="conversation_event_newest")
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.after}".strip()
