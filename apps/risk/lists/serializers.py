"""Shapes of the lists API."""

from rest_framework import serializers

from api.serializers import ListParameters, StrictSerializer
from apps.risk.lists.models import EntityList, ListEntry, ListField, ListKind
from apps.risk.lists.services import MOST_ENTRIES_AT_ONCE, MOST_VALUE, NewEntry


class EntityListBodySerializer(StrictSerializer):
    name = serializers.CharField(max_length=100, help_text="how rules name it; never changes")
    kind = serializers.ChoiceField(
        ListKind.choices, help_text="allow approves, deny declines, watch raises an alert, each without any rule"
    )
    field = serializers.ChoiceField(ListField.choices, help_text="what its entries name")
    description = serializers.CharField(required=False, allow_blank=True, max_length=2000)


class EntityListSerializer(serializers.ModelSerializer):
    entries = serializers.IntegerField(source="entry_count", read_only=True, help_text="how many it has")

    class Meta:
        model = EntityList
        fields = ("id", "name", "kind", "field", "description", "entries", "created_by", "created_at")
        read_only_fields = fields


class NewListEntrySerializer(StrictSerializer):
    value = serializers.CharField(
        max_length=MOST_VALUE,
        trim_whitespace=False,
        help_text="as clients name it; cards, devices, addresses and subjects are kept as keyed hashes",
    )
    note = serializers.CharField(required=False, allow_blank=True, max_length=500)
    expires_at = serializers.DateTimeField(required=False, allow_null=True)


class ListEntriesBodySerializer(StrictSerializer):
    entries = serializers.ListField(child=NewListEntrySerializer(), min_length=1, max_length=MOST_ENTRIES_AT_ONCE)

    def new_entries(self) -> list[NewEntry]:
        return [NewEntry(**entry) for entry in self.validated_data["entries"]]


class ListEntryParameters(ListParameters):
    value = serializers.CharField(
        required=False,
        max_length=MOST_VALUE,
        trim_whitespace=False,
        help_text="the entry of this one, as clients name it",
    )


class AddedEntriesSerializer(serializers.Serializer):
    added = serializers.IntegerField(help_text="new ones")
    updated = serializers.IntegerField(help_text="those that were in the list already")


class ListEntrySerializer(serializers.ModelSerializer):
    class Meta:
        model = ListEntry
        fields = ("id", "value", "note", "expires_at", "added_by", "created_at")
        read_only_fields = fields
