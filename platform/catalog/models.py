"""What a tenant offers: items and their attributes."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from tenancy.models import TenantOwned


class Item(TenantOwned):
    """One thing that can be recommended, found or advertised; `item_id` is the tenant's own id of it.

    Events may name items that are not here (yet): they are joined by `item_id` when read, so a late catalogue counts
    from the moment it arrives.
    """

    item_id = models.CharField(max_length=200, db_collation="C")
    title = models.CharField(max_length=500, blank=True)
    description = models.TextField(blank=True)
    categories = ArrayField(models.CharField(max_length=200), default=list, blank=True)
    brand = models.CharField(max_length=200, blank=True)
    price = models.DecimalField(max_digits=14, decimal_places=2, null=True, blank=True)
    currency = models.CharField(max_length=3, blank=True, help_text="ISO 4217, such as EUR")
    available = models.BooleanField(default=True, help_text="can be had now")
    hidden = models.BooleanField(default=False, help_text="is never shown, though its events still count")
    image_url = models.CharField(max_length=2000, blank=True)
    attributes = models.JSONField(
        default=dict, blank=True, help_text='text, numbers, true or false, or lists of them: {"color": ["red", "blue"]}'
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["item_id"]
        constraints = [models.UniqueConstraint(fields=["tenant", "item_id"], name="item_tenant_item_id")]
        indexes = [
            models.Index("tenant", models.F("created_at").desc(), name="item_newest"),
            models.Index("tenant", "updated_at", name="item_changed"),
        ]

    def __str__(self) -> str:
        return self.title or self.item_id


class SavedFilter(TenantOwned):
    """A filter expression under a key; `{"param": "name"}` stands in it in place of a value that its user gives."""

    key = models.SlugField(max_length=50, db_index=False, help_text="What requests, scenarios and rules name.")
    description = models.CharField(max_length=500, blank=True)
    expression = models.JSONField()
    parameters = models.JSONField(
        default=dict, blank=True, help_text='by name: {"max": {"type": "number", "default": 80}}'
    )
    updated_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["key"]
        constraints = [models.UniqueConstraint(fields=["tenant", "key"], name="saved_filter_key")]

    def __str__(self) -> str:
        return self.key
