"""What agents have accepted or edited, as it is learned from."""

from django.db import models

from apps.service.knowledge.models import Source
from apps.service.replies.models import Reply
from tenancy.models import TenantOwned


class LearnedReply(TenantOwned):
    """One reply that an agent accepted or edited, without what belongs to its customer alone. Append-only.

    In `text` the order's data and the customer's names stand as slots, other personal data as marks such as [PHONE_1];
    a macro that was given as it is stands as it was written. `source` is the macro or past reply that says it, null
    where knowledge has none.
    """

    reply = models.ForeignKey(Reply, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="learned")
    source = models.ForeignKey(
        Source, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+", null=True
    )
    text = models.TextField()
    given_at = models.DateTimeField(help_text="when the agent sent it")

    class Meta:
        verbose_name_plural = "learned replies"
        constraints = [models.UniqueConstraint(fields=["tenant", "reply"], name="learned_reply_reply")]
        indexes = [models.Index("tenant", models.F("given_at").desc(), name="learned_reply_newest")]

    def __str__(self) -> str:
        return self.text[:80]
