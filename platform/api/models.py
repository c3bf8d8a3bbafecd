"""Answers of writes that carried an Idempotency-Key, so that a repeated call is answered and not repeated."""

from django.db import models

from tenancy.models import TenantOwned


class IdempotentRequest(TenantOwned):
    """One write and its answer, stored in the same transaction as the write itself."""

    key = models.CharField(max_length=200, db_collation="C")
    request_hash = models.BinaryField()
    status = models.SmallIntegerField()
    body = models.TextField()
    etag = models.CharField(max_length=100, default="", db_default="")
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "key"], name="idempotent_request_key")]
        indexes = [models.Index(fields=["tenant", "created_at"], name="idempotent_request_created")]

    def __str__(self) -> str:
        return self.key
