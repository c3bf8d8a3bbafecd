"""Intents of a tenant, their labelled examples, and what the rules of understanding are told."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from tenancy.models import TenantOwned


class Intent(TenantOwned):
    """What a customer may want. Models and conversations name it by its name, which therefore never changes."""

    name = models.CharField(max_length=100, db_collation="C")
    description = models.TextField(max_length=2000, blank=True)
    auto_send = models.BooleanField(
        default=False,
        verbose_name="may be sent",
        help_text="Replies to it may go out without an agent, where the confidence allows.",
    )
    updated_by = models.CharField(max_length=200, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="service_intent_name")]

    def __str__(self) -> str:
        return self.name


class IntentExample(TenantOwned):
    """A text whose intent is known; without an intent, one that is out of scope.

    `text_key` is the same for texts that differ in case, width, accents and white space alone: each has one intent.
    """

    intent = models.ForeignKey(
        Intent, models.CASCADE, db_constraint=False, db_index=False, related_name="examples", null=True
    )
    text = models.TextField(max_length=2000)
    text_key = models.CharField(max_length=64, db_collation="C")
    added_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "example"
        constraints = [models.UniqueConstraint(fields=["tenant", "text_key"], name="service_intentexample_text")]
        indexes = [models.Index("tenant", "intent", models.F("id").desc(), name="service_intentexample_newest")]

    def __str__(self) -> str:
        return self.text[:80]


class UnderstandingSettings(TenantOwned):
    """At most one row a tenant: how its order ids are written."""

    order_patterns = ArrayField(models.CharField(max_length=100), default=list)
    updated_by = models.CharField(max_length=200)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant"], name="service_understandingsettings_tenant")]

    def __str__(self) -> str:
        return "understanding"
