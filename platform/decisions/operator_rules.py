"""What the rules of all applications share: a key, a schedule, versions, and a history of who did what."""

from django.db import models

from tenancy.models import TenantOwned


class OperatorRule(TenantOwned):
    """What an operator wants of an application's decisions. A removed one stays, with its key and its history."""

    key = models.SlugField(max_length=50, db_index=False, help_text="How decisions name the rule; never changes.")
    name = models.CharField(max_length=200)
    starts_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True)
    version = models.PositiveIntegerField(default=0, editable=False)
    created_by = models.CharField(max_length=200, editable=False)
    updated_by = models.CharField(max_length=200, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    removed_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.name


class OperatorRuleChange(TenantOwned):
    """Who did what to a rule, and what it was before and after. Append-only. Subclasses name the `rule` and the
    `action`, whose values are at least created, changed, restored and removed."""

    version = models.PositiveIntegerField(help_text="The rule's version after the change.")
    actor = models.CharField(max_length=200)
    before = models.JSONField(null=True)
    after = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True
