from django.db import migrations, models

# The type is changed to itself, since such a change sees every tenant's rows. What was counted over days stands in the
# last of its hours.
BY_HOUR = (
    "ALTER TABLE ads_filteredevent DROP CONSTRAINT ads_filteredevent_pkey",
    "ALTER TABLE ads_filteredevent RENAME last_at TO hour",
    "ALTER TABLE ads_filteredevent DROP first_at, ALTER hour TYPE timestamptz USING date_trunc('hour', hour, 'UTC')",
    "ALTER TABLE ads_filteredevent ADD CONSTRAINT ads_filteredevent_pkey "
    "PRIMARY KEY (tenant_id, delivery_id, kind, reason, hour)",
)
ALL_HOURS = (
    "ALTER TABLE ads_filteredevent NO FORCE ROW LEVEL SECURITY",
    "ALTER TABLE ads_filteredevent DROP CONSTRAINT ads_filteredevent_pkey",
    "ALTER TABLE ads_filteredevent RENAME hour TO last_at",
    "ALTER TABLE ads_filteredevent ADD first_at timestamptz",
    "WITH hours AS (DELETE FROM ads_filteredevent RETURNING *) "
    "INSERT INTO ads_filteredevent (tenant_id, delivery_id, kind, reason, flight_id, count, first_at, last_at) "
    "SELECT tenant_id, delivery_id, kind, reason, flight_id, sum(count), min(last_at), max(last_at) "
    "FROM hours GROUP BY 1, 2, 3, 4, 5",
    "ALTER TABLE ads_filteredevent ALTER first_at SET NOT NULL",
    "ALTER TABLE ads_filteredevent ADD CONSTRAINT ads_filteredevent_pkey "
    "PRIMARY KEY (tenant_id, delivery_id, kind, reason)",
    "ALTER TABLE ads_filteredevent FORCE ROW LEVEL SECURITY",
)


class Migration(migrations.Migration):
    """Traffic that counts for nothing is counted by the hour. Django cannot change such a key itself."""

    dependencies = [("ads", "0011_people_of_changes")]

    operations = [
        migrations.RemoveIndex("filteredevent", "filtered_event_flight"),
        migrations.SeparateDatabaseAndState(
            [migrations.RunSQL(BY_HOUR, ALL_HOURS)],
            [
                migrations.RemoveField("filteredevent", "first_at"),
                migrations.RenameField("filteredevent", "last_at", "hour"),
                migrations.AlterField("filteredevent", "hour", models.DateTimeField(help_text="its beginning, of UTC")),
                migrations.AlterField(
                    "filteredevent",
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "delivery_id",
                        "kind",
                        "reason",
                        "hour",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
            ],
        ),
        migrations.AddIndex("filteredevent", models.Index(fields=["tenant", "hour"], name="filtered_event_hour")),
    ]
