"""What a tenant offers: items and their attributes."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.contrib.postgres.search import SearchVectorField
from django.db import models

from catalog.vectors import VectorField
from tenancy.models import Tenant, TenantOwned
from tenancy.scope import current_tenant_id

# Of all-MiniLM-L6-v2, and of most small text encoders.
VECTOR_DIMENSION = 384


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


class ItemText(TenantOwned):
    """What full text search reads of an item. `id` is the item's own.

    `document` holds its words by weight: A title and id, B brand and categories, C attributes, D description.
    `encoder` names the encoder that has read the text as it is now; empty while none has.
    """

    document = SearchVectorField()
    content_hash = models.BinaryField(max_length=32)
    encoder = models.CharField(max_length=16, blank=True, db_collation="C")
    item_updated_at = models.DateTimeField(help_text="the item as it was at this time")

    class Meta:
        indexes = [
            GinIndex("tenant", "document", name="item_text_document"),
            models.Index("tenant", "encoder", name="item_text_encoder"),
        ]

    def __str__(self) -> str:
        return str(self.id)


class ItemVector(TenantOwned):
    """Where an item's text lies among the meanings that a text encoder tells apart. `id` is the item's own."""

    # Its index is a graph that knows no tenant; the migration makes it.
    embedding = VectorField(dimension=VECTOR_DIMENSION)

    def __str__(self) -> str:
        return str(self.id)


class ItemWord(models.Model):
    """A word that the tenant's items use, and its stem: what a mistyped query is corrected to.

    Words stay when the last item with them goes; a correction to one of those finds nothing and costs no more.
    """

    pk = models.CompositePrimaryKey("tenant_id", "word")
    tenant = models.ForeignKey(
        Tenant, models.DO_NOTHING, default=current_tenant_id, editable=False, db_index=False, related_name="+"
    )
    word = models.CharField(max_length=100, db_collation="C")
    stem = models.CharField(max_length=100, db_collation="C")
    is_name = models.BooleanField(help_text="in a title, a brand or a category: others are not corrected to")

    class Meta:
        indexes = [
            models.Index("tenant", "stem", name="item_word_stem"),
            GinIndex(
                "tenant",
                OpClass("word", name="gin_trgm_ops"),
                name="item_word_trigrams",
                condition=models.Q(is_name=True),
            ),
        ]

    def __str__(self) -> str:
        return self.word
