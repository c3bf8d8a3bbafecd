"""Reads of lists."""

from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from apps.risk.lists.models import EntityList, ListChange, ListEntry


def entity_lists() -> QuerySet[EntityList]:
    """All lists, each with its `entry_count`."""
    counted = ListEntry.objects.filter(list=OuterRef("pk")).order_by().values("list").annotate(number=Count("id"))
    return EntityList.objects.annotate(entry_count=Coalesce(Subquery(counted.values("number")), 0)).order_by("name")


def changes_of_list(name: str) -> QuerySet[ListChange]:
    """What was done to the lists of this name, newest first."""
    return ListChange.objects.filter(list_name=name)
