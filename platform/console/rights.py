"""What the operator of a request may do: decided by the membership in the chosen tenant, by nothing else."""

from django.db.models import QuerySet
from django.http import HttpRequest

from tenancy.models import Membership, Role
from tenancy.scope import current_tenant_id


def membership_of(request: HttpRequest) -> Membership | None:
    """The operator's membership in the chosen tenant, set by OperatorTenantMiddleware."""
    return getattr(request, "membership", None)


def has_role(request: HttpRequest, role: Role) -> bool:
    """Whether the operator has this role in the chosen tenant, or one with more rights."""
    membership = membership_of(request)
    return membership is not None and Role(membership.role).rank >= role.rank


def actor_name(request: HttpRequest) -> str:
    """How the operator is named in histories."""
    return request.user.get_username()


def operators() -> QuerySet[Membership]:
    """Those of the tenant in scope who may do more than read, have accepted, and can log in."""
    roles = [role for role in Role if role.rank >= Role.OPERATOR.rank]
    found = Membership.objects.filter(tenant_id=current_tenant_id(), role__in=roles, user__is_active=True)
    return found.exclude(accepted_at=None)


def operator_names() -> list[str]:
    """`operators`, named as in histories."""
    return list(operators().order_by("user__username").values_list("user__username", flat=True))
