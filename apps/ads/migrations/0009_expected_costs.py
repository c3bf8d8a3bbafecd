"""Clicks and conversions reserve what they are expected to cost, so more may be promised than is left."""

from django.db import migrations, models
from django.db.models import F, Q

# The release before bills without asking whether there is room: it must find the whole price reserved, or nothing.
RETURN_EXPECTED = """
    DO $$
    DECLARE
        tenant integer;
    BEGIN
        FOR tenant IN SELECT id FROM tenancy_tenant LOOP
            PERFORM set_config('app.tenant', tenant::text, true);
            UPDATE ads_delivery SET status = 'returned'
                WHERE tenant_id = tenant AND status = 'open' AND bid_kind <> 'cpm';
            UPDATE ads_flightbudget AS budget SET (reserved_micros, day_reserved_micros) = (
                SELECT coalesce(sum(reserved_micros), 0),
                    coalesce(sum(reserved_micros) FILTER (WHERE delivery.day = budget.day), 0)
                FROM ads_delivery AS delivery
                WHERE delivery.tenant_id = tenant AND delivery.flight_id = budget.flight_id AND status = 'open'
            ) WHERE tenant_id = tenant AND reserved_micros > 0;
        END LOOP;
        PERFORM set_config('app.tenant', '', true);
    END $$"""


class Migration(migrations.Migration):
    dependencies = [("ads", "0008_unpaid_conversions")]

    operations = [
        migrations.AlterField(
            "delivery",
            "status",
            models.CharField(
                max_length=8,
                choices=[
                    ("open", "Open: what it is expected to cost is reserved"),
                    ("billed", "Billed"),
                    ("returned", "Returned: what was reserved went back into the budget"),
                ],
                default="open",
            ),
        ),
        migrations.AlterField(
            "filteredevent",
            "kind",
            models.CharField(
                max_length=10,
                choices=[
                    ("impression", "Impression"),
                    ("viewable", "Viewable"),
                    ("click", "Click"),
                    ("conversion", "Conversion"),
                ],
            ),
        ),
        migrations.RemoveConstraint("flightbudget", "flight_budget_kept"),
        # Backwards, before the stricter constraint comes again.
        migrations.RunSQL(migrations.RunSQL.noop, RETURN_EXPECTED),
        migrations.AddConstraint(
            "flightbudget",
            models.CheckConstraint(
                name="flight_budget_kept",
                condition=Q(budget_micros__gte=F("spent_micros"))
                & (Q(daily_budget_micros=None) | Q(daily_budget_micros__gte=F("day_spent_micros"))),
            ),
        ),
    ]
