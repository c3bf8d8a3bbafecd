"""What is learnt of purchases off the request's path: which items go together, and how soon they are bought again."""

from django.db import models

from behavior.models import tenant_of_log


class Within(models.TextChoices):
    """What makes two purchases a pair."""

    BASKET = "basket", "one session, or one subject's day"
    SUBJECT = "subject", "one subject"


class ItemPair(models.Model):
    """How often `other_id` was bought besides `item_id`. Made anew by `refresh_purchase_habits`.

    together      baskets (or subjects) that hold both
    confidence    share of those with `item_id` that hold `other_id`, shrunk to the share of all that hold it
    added_value   confidence less the share of all that hold `other_id`: what `item_id` adds to its chance
    """

    pk = models.CompositePrimaryKey("tenant_id", "within", "item_id", "other_id")
    tenant = tenant_of_log()
    within = models.CharField(max_length=10, choices=Within.choices)
    item_id = models.CharField(max_length=200, db_collation="C")
    other_id = models.CharField(max_length=200, db_collation="C")
    together = models.BigIntegerField()
    confidence = models.FloatField()
    added_value = models.FloatField()

    def __str__(self) -> str:
        return f"{self.item_id} and {self.other_id}"


class RepurchaseInterval(models.Model):
    """After how many days an item, or an item of a category, is usually bought again by the same subject: the median
    of `gaps` gaps. Made anew by `refresh_purchase_habits`."""

    class Of(models.TextChoices):
        ITEM = "item"
        CATEGORY = "category"

    pk = models.CompositePrimaryKey("tenant_id", "of", "name")
    tenant = tenant_of_log()
    of = models.CharField(max_length=10, choices=Of.choices)
    name = models.CharField(max_length=200, db_collation="C")
    days = models.FloatField()
    gaps = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.name}: {self.days:g} days"
