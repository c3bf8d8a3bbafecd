"""Writes that only the console makes, for the tenant in scope: its members, and many items at once."""

from uuid import UUID

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils import timezone

from catalog.models import Item
from tenancy.models import Membership, Role
from tenancy.scope import current_tenant_id

LAST_ADMIN = "This is the last admin of the tenant. Make somebody else an admin first."


def change_member_role(*, membership_id: UUID, role: Role) -> Membership:
    """Raises ValidationError when the tenant would be left without an admin."""
    if role != Role.ADMIN:
        check_admin_remains(without=membership_id)
    membership = Membership.objects.get(tenant_id=current_tenant_id(), id=membership_id)
    membership.role = role
    membership.save(update_fields=["role"])
    return membership


def remove_member(*, membership_id: UUID) -> None:
    """Takes the rights away; the person's login stays. Raises ValidationError for the last admin."""
    check_admin_remains(without=membership_id)
    Membership.objects.filter(tenant_id=current_tenant_id(), id=membership_id).delete()


def check_admin_remains(*, without: UUID) -> None:
    """Raises ValidationError when `without` is the last admin; whoever is only invited is none yet.

    Locks all members until the transaction ends, so that two admins cannot step down at the same moment.
    """
    members = list(Membership.objects.select_for_update().filter(tenant_id=current_tenant_id()).order_by("id"))
    if not any(one.role == Role.ADMIN and one.accepted_at for one in members if one.id != without):
        raise ValidationError(LAST_ADMIN)


def set_items(items: QuerySet[Item], **values: bool) -> int:
    """Hide, show or mark items, all at once. Returns how many."""
    return items.order_by().update(updated_at=timezone.now(), **values)
