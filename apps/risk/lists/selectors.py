"""Reads of lists."""

from collections.abc import Iterable

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


def taken_out(found: EntityList) -> QuerySet[ListChange]:
    """What was taken out of this list and can be put back; an earlier list of its name may have held other things."""
    return changes_of_list(found.name).filter(action=ListChange.Action.TAKEN_OUT, created_at__gte=found.created_at)


def absent_values(found: EntityList, values: Iterable[str]) -> set[str]:
    """Those of these stored values that the list does not hold."""
    asked = set(values)
    return asked - set(found.entries.filter(value__in=asked).values_list("value", flat=True))
