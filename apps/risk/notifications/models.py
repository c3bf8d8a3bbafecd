"""A member's daily e-mail about the desk."""

from django.db import models

from tenancy.models import Membership, TenantOwned


class Digest(TenantOwned):
    """A member's daily e-mail about the desk; it goes with the membership."""

    membership = models.ForeignKey(Membership, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    email = models.EmailField()
    hour = models.PositiveSmallIntegerField(help_text="of the day (UTC) from which on it is sent")
    sent_on = models.DateField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "membership"], name="digest_membership"),
            models.CheckConstraint(condition=models.Q(hour__lt=24), name="digest_hour"),
        ]

    def __str__(self) -> str:
        return self.email
