"""Tenants, who may act for them, and the keys of their client systems."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from uuid_utils.compat import uuid7

from tenancy.scope import current_tenant_id


class Tenant(models.Model):
    """One business. Its id is the value that row-level security compares with."""

    id = models.AutoField(primary_key=True)
    slug = models.SlugField(max_length=50, unique=True)
    name = models.CharField(max_length=200)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.name


class TenantOwned(models.Model):
    """A row that belongs to one tenant.

    Django sees `id` as the primary key; in the database it is (tenant_id, id), set by `protect()`, which every
    concrete subclass needs in its migration. The tenant is taken from the scope.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = models.ForeignKey(
        Tenant, models.DO_NOTHING, default=current_tenant_id, editable=False, db_index=False, related_name="+"
    )

    class Meta:
        abstract = True


class TenantSecret(TenantOwned):
    """A key of the tenant, encrypted at rest: `subject` pseudonymises subject ids."""

    purpose = models.CharField(max_length=30)
    ciphertext = models.BinaryField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "purpose"], name="tenant_secret_purpose")]

    def __str__(self) -> str:
        return self.purpose


class Role(models.TextChoices):
    """Rights grow from left to right; each role has all rights of the one before."""

    VIEWER = "viewer", "Viewer: sees everything but raw subject ids and keys"
    ANALYST = "analyst", "Analyst: starts training, exports"
    OPERATOR = "operator", "Operator: changes catalogue, scenarios and quarantine; promotes models"
    ADMIN = "admin", "Admin: members and API keys"

    @property
    def rank(self) -> int:
        return list(Role).index(self)


class Membership(TenantOwned):
    """A person's role. It counts from `accepted_at` on; until then the person is invited and has no rights."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.VIEWER)
    created_at = models.DateTimeField(auto_now_add=True)
    accepted_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "user"], name="membership_user")]

    def __str__(self) -> str:
        return f"{self.user} as {self.role}"


class ApiKey(TenantOwned):
    """A client system's key. Only a SHA-256 of the secret is kept; the prefix finds the row."""

    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=40, editable=False)
    secret_hash = models.BinaryField(editable=False)
    scopes = ArrayField(models.CharField(max_length=40))
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(
        max_length=150,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="the member who made it, and knows it",
    )
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    replaced_by = models.UUIDField(null=True, blank=True, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "prefix"], name="api_key_prefix")]
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} (sk_{self.prefix}_…)"
