"""Experiments: flights or creatives of one campaign, shown to different readers, to learn which does better."""

from django.db import models

from apps.ads.campaigns.models import AdObject, Campaign


class Experiment(AdObject):
    """Runs between two dates, of which none moves once it has passed. `arms` are [{"name", "share", "members"}]:
    members are ids of flights or creatives of the campaign, which compete only for the readers of their arm; shares add
    up to 1. The first arm is what the others are compared with. What no arm names is shown to everybody."""

    campaign = models.ForeignKey(
        Campaign, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="experiments"
    )
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    arms = models.JSONField()

    class Meta:
        ordering = ["name"]
        indexes = [
            models.Index(fields=["tenant", "campaign"], name="experiment_campaign"),
            models.Index(fields=["tenant", "ends_at"], name="experiment_ends"),
        ]
