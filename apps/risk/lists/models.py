"""Lists of cards, devices, people and places that the desk knows something about."""

from django.db import models

from tenancy.models import TenantOwned


class ListField(models.TextChoices):
    """What the entries of a list name."""

    CARD = "card", "Card"
    DEVICE = "device", "Device"
    ADDRESS = "address", "Address"
    SUBJECT = "subject", "Subject (user id)"
    COUNTERPARTY = "counterparty", "Counterparty"
    COUNTRY = "country", "Country"


class ListKind(models.TextChoices):
    """What a list does by itself; a rule may ask any list besides."""

    ALLOW = "allow", "Allow: approves"
    DENY = "deny", "Deny: declines"
    WATCH = "watch", "Watch: raises an alert"


class EntityList(TenantOwned):
    """Rules name a list by its name, so neither the name nor the field ever changes."""

    name = models.CharField(max_length=100, db_collation="C")
    kind = models.CharField(max_length=10, choices=ListKind.choices)
    field = models.CharField(max_length=20, choices=ListField.choices)
    description = models.TextField(max_length=2000, blank=True)
    created_by = models.CharField(max_length=200, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "list"
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="entity_list_name")]

    def __str__(self) -> str:
        return self.name


class ListEntry(TenantOwned):
    """One value of a list: what is personal as its key (hexadecimal), as transactions hold it; else as it is."""

    list = models.ForeignKey(EntityList, models.CASCADE, db_constraint=False, db_index=False, related_name="entries")
    value = models.CharField(max_length=200, db_collation="C")
    note = models.CharField(max_length=500, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    added_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "entry"
        verbose_name_plural = "entries"
        constraints = [models.UniqueConstraint(fields=["tenant", "list", "value"], name="list_entry_value")]
        indexes = [models.Index(fields=["tenant", "value"], name="list_entry_lookup")]

    def __str__(self) -> str:
        return self.value


class ListChange(TenantOwned):
    """What was done to a list and by whom. Append-only; values that are personal appear as keys alone."""

    class Action(models.TextChoices):
        CREATED = "created", "Made"
        REMOVED = "removed", "Removed"
        ADDED = "added", "Entries added"
        TAKEN_OUT = "taken_out", "Entry taken out"

    list_name = models.CharField(max_length=100, db_collation="C")
    action = models.CharField(max_length=10, choices=Action.choices)
    actor = models.CharField(max_length=200)
    details = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index("tenant", "list_name", models.F("id").desc(), name="list_change_newest")]

    def __str__(self) -> str:
        return f"{self.get_action_display()} by {self.actor}"
