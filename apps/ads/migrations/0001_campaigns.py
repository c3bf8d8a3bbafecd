import django.core.validators
import django.db.models.deletion
import django.db.models.expressions
import uuid_utils.compat
from django.db import migrations, models

import tenancy.scope
from tenancy.operations import protect, tie

OBJECT = "SELECT, INSERT, UPDATE"


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("decisions", "0002_kpi"),
        ("tenancy", "0003_definer_search_path"),
    ]

    operations = [
        migrations.CreateModel(
            name="AdDecision",
            fields=[],
            options={
                "verbose_name": "auction",
                "verbose_name_plural": "auctions",
                "proxy": True,
                "indexes": [],
                "constraints": [],
            },
            bases=("decisions.decision",),
        ),
        migrations.CreateModel(
            name="Advertiser",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=200)),
                ("version", models.PositiveIntegerField(default=0, editable=False)),
                ("created_by", models.CharField(editable=False, max_length=200)),
                ("updated_by", models.CharField(editable=False, max_length=200)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("archived_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "currency",
                    models.CharField(
                        help_text="ISO 4217; all bids and budgets are in it, and it never changes.", max_length=3
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        default=tenancy.scope.current_tenant_id,
                        editable=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
            ],
            options={
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="AttributedConversion",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id", "event_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("event_id", models.UUIDField()),
                ("delivery_id", models.UUIDField()),
                ("flight_id", models.UUIDField()),
                ("touch", models.CharField(choices=[("click", "Click"), ("view", "View")], max_length=5)),
                ("value_micros", models.BigIntegerField()),
                ("occurred_at", models.DateTimeField()),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        default=tenancy.scope.current_tenant_id,
                        editable=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Campaign",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=200)),
                ("version", models.PositiveIntegerField(default=0, editable=False)),
                ("created_by", models.CharField(editable=False, max_length=200)),
                ("updated_by", models.CharField(editable=False, max_length=200)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("archived_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "advertiser",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="campaigns",
                        to="ads.advertiser",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        default=tenancy.scope.current_tenant_id,
                        editable=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
            ],
            options={
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="AdReport",
            fields=[],
            options={
                "verbose_name": "report",
                "verbose_name_plural": "reports",
                "proxy": True,
                "indexes": [],
                "constraints": [],
            },
            bases=("ads.campaign",),
        ),
        migrations.CreateModel(
            name="CreativeCount",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "creative_id",
                        "placement_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("creative_id", models.UUIDField()),
                ("placement_id", models.UUIDField()),
                ("impressions", models.BigIntegerField()),
                ("clicks", models.BigIntegerField()),
                ("conversions", models.BigIntegerField()),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        default=tenancy.scope.current_tenant_id,
                        editable=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Delivery",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id", "delivery_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("delivery_id", models.UUIDField(help_text="of the decision that placed it")),
                ("flight_id", models.UUIDField()),
                ("creative_id", models.UUIDField()),
                ("placement_id", models.UUIDField()),
                ("subject_key", models.BinaryField(null=True)),
                (
                    "bid_kind",
                    models.CharField(
                        choices=[
                            ("cpm", "CPM: a thousand impressions"),
                            ("cpc", "CPC: a click"),
                            ("cpa", "CPA: a conversion"),
                        ],
                        max_length=3,
                    ),
                ),
                ("price_micros", models.BigIntegerField()),
                ("reserved_micros", models.BigIntegerField()),
                ("day", models.DateField()),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("open", "Open: its price is reserved"),
                            ("billed", "Billed"),
                            ("returned", "Returned: its price went back into the budget"),
                        ],
                        default="open",
                        max_length=8,
                    ),
                ),
                ("click_url", models.TextField()),
                ("post_click_days", models.SmallIntegerField()),
                ("post_view_hours", models.SmallIntegerField()),
                ("placed_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("impression_at", models.DateTimeField(null=True)),
                ("viewable_at", models.DateTimeField(null=True)),
                ("clicked_at", models.DateTimeField(null=True)),
                ("converted_at", models.DateTimeField(null=True)),
                ("conversions", models.IntegerField(default=0)),
                ("revenue_micros", models.BigIntegerField(default=0)),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        default=tenancy.scope.current_tenant_id,
                        editable=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "deliveries",
            },
        ),
        migrations.CreateModel(
            name="FilteredEvent",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "delivery_id",
                        "kind",
                        "reason",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("delivery_id", models.UUIDField()),
                (
                    "kind",
                    models.CharField(
                        choices=[("impression", "Impression"), ("viewable", "Viewable"), ("click", "Click")],
                        max_length=10,
                    ),
                ),
                ("reason", models.CharField(max_length=20)),
                ("flight_id", models.UUIDField()),
                ("count", models.BigIntegerField(default=1)),
                ("first_at", models.DateTimeField()),
                ("last_at", models.DateTimeField()),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        default=tenancy.scope.current_tenant_id,
                        editable=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Flight",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=200)),
                ("version", models.PositiveIntegerField(default=0, editable=False)),
                ("created_by", models.CharField(editable=False, max_length=200)),
                ("updated_by", models.CharField(editable=False, max_length=200)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("archived_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "status",
                    models.CharField(
                        choices=[("draft", "Draft"), ("live", "Live"), ("paused", "Paused")],
                        default="draft",
                        editable=False,
                        max_length=6,
                    ),
                ),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
                (
                    "bid_kind",
                    models.CharField(
                        choices=[
                            ("cpm", "CPM: a thousand impressions"),
                            ("cpc", "CPC: a click"),
                            ("cpa", "CPA: a conversion"),
                        ],
                        max_length=3,
                    ),
                ),
                (
                    "bid_micros",
                    models.BigIntegerField(
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(10000000000),
                        ]
                    ),
                ),
                (
                    "budget_micros",
                    models.BigIntegerField(
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(1000000000000000),
                        ]
                    ),
                ),
                (
                    "daily_budget_micros",
                    models.BigIntegerField(
                        blank=True,
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(1000000000000000),
                        ],
                    ),
                ),
                (
                    "pacing",
                    models.CharField(
                        choices=[
                            ("asap", "As soon as possible"),
                            ("adaptive", "Adaptive: shades the bid"),
                            ("pid", "PID: takes part in a share of the auctions"),
                        ],
                        default="adaptive",
                        max_length=8,
                    ),
                ),
                (
                    "goal_kind",
                    models.CharField(
                        choices=[
                            ("none", "None"),
                            ("impressions", "Impressions"),
                            ("clicks", "Clicks"),
                            ("conversions", "Conversions"),
                        ],
                        default="none",
                        max_length=11,
                    ),
                ),
                (
                    "goal",
                    models.BigIntegerField(
                        blank=True,
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(1000000000000),
                        ],
                    ),
                ),
                ("targeting", models.JSONField(blank=True, default=dict)),
                (
                    "cap_impressions",
                    models.PositiveIntegerField(
                        blank=True,
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(1000),
                        ],
                    ),
                ),
                (
                    "cap_hours",
                    models.PositiveIntegerField(
                        default=24,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(720),
                        ],
                    ),
                ),
                (
                    "recency_seconds",
                    models.PositiveIntegerField(
                        default=0,
                        validators=[
                            django.core.validators.MinValueValidator(0),
                            django.core.validators.MaxValueValidator(2592000),
                        ],
                    ),
                ),
                (
                    "post_click_days",
                    models.PositiveSmallIntegerField(
                        default=7,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(30),
                        ],
                    ),
                ),
                (
                    "post_view_hours",
                    models.PositiveSmallIntegerField(
                        default=0,
                        validators=[
                            django.core.validators.MinValueValidator(0),
                            django.core.validators.MaxValueValidator(168),
                        ],
                    ),
                ),
                (
                    "campaign",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="flights",
                        to="ads.campaign",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        default=tenancy.scope.current_tenant_id,
                        editable=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
            ],
            options={
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="Creative",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=200)),
                ("version", models.PositiveIntegerField(default=0, editable=False)),
                ("created_by", models.CharField(editable=False, max_length=200)),
                ("updated_by", models.CharField(editable=False, max_length=200)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("archived_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "width",
                    models.PositiveIntegerField(
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(10000),
                        ]
                    ),
                ),
                (
                    "height",
                    models.PositiveIntegerField(
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(10000),
                        ]
                    ),
                ),
                ("text", models.CharField(blank=True, max_length=1000)),
                ("image_url", models.CharField(blank=True, max_length=1000)),
                ("click_url", models.CharField(max_length=1000)),
                (
                    "quality",
                    models.FloatField(
                        default=1.0,
                        validators=[
                            django.core.validators.MinValueValidator(0.1),
                            django.core.validators.MaxValueValidator(10.0),
                        ],
                    ),
                ),
                (
                    "review",
                    models.CharField(
                        choices=[("pending", "Pending"), ("approved", "Approved"), ("rejected", "Rejected")],
                        default="pending",
                        editable=False,
                        max_length=8,
                    ),
                ),
                ("review_note", models.CharField(blank=True, editable=False, max_length=500)),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        default=tenancy.scope.current_tenant_id,
                        editable=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
                (
                    "flight",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="creatives",
                        to="ads.flight",
                    ),
                ),
            ],
            options={
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="Reconciliation",
            fields=[],
            options={
                "verbose_name": "ledger",
                "verbose_name_plural": "ledger",
                "proxy": True,
                "indexes": [],
                "constraints": [],
            },
            bases=("ads.flight",),
        ),
        migrations.CreateModel(
            name="FlightBudget",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id", "flight_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("flight_id", models.UUIDField()),
                ("budget_micros", models.BigIntegerField()),
                ("daily_budget_micros", models.BigIntegerField(null=True)),
                ("reserved_micros", models.BigIntegerField(default=0)),
                ("spent_micros", models.BigIntegerField(default=0)),
                ("day", models.DateField(default="2000-01-01")),
                ("day_reserved_micros", models.BigIntegerField(default=0)),
                ("day_spent_micros", models.BigIntegerField(default=0)),
                ("carry", models.SmallIntegerField(default=0)),
                ("billed_events", models.BigIntegerField(default=0)),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        default=tenancy.scope.current_tenant_id,
                        editable=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="FlightPacing",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id", "flight_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("flight_id", models.UUIDField()),
                ("bid_factor", models.FloatField(default=1.0)),
                ("pass_rate", models.FloatField(default=1.0)),
                ("dual", models.FloatField(default=0.0)),
                ("integral", models.FloatField(default=0.0)),
                ("error", models.FloatField(default=0.0)),
                ("spent_micros", models.BigIntegerField(default=0, help_text="at the last step")),
                ("stepped_at", models.DateTimeField()),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        default=tenancy.scope.current_tenant_id,
                        editable=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="LedgerEntry",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id", "delivery_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("delivery_id", models.UUIDField()),
                ("flight_id", models.UUIDField()),
                (
                    "bid_kind",
                    models.CharField(
                        choices=[
                            ("cpm", "CPM: a thousand impressions"),
                            ("cpc", "CPC: a click"),
                            ("cpa", "CPA: a conversion"),
                        ],
                        max_length=3,
                    ),
                ),
                ("price_micros", models.BigIntegerField()),
                ("amount_micros", models.BigIntegerField()),
                ("day", models.DateField()),
                ("billed_at", models.DateTimeField()),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        default=tenancy.scope.current_tenant_id,
                        editable=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "ledger entries",
            },
        ),
        migrations.CreateModel(
            name="PacingStep",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "flight_id",
                        "stepped_at",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("flight_id", models.UUIDField()),
                ("stepped_at", models.DateTimeField()),
                ("planned_micros", models.BigIntegerField()),
                ("spent_micros", models.BigIntegerField()),
                (
                    "make_good_micros",
                    models.BigIntegerField(help_text="by how much it was behind the plan of all its days"),
                ),
                ("bid_factor", models.FloatField()),
                ("pass_rate", models.FloatField()),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        default=tenancy.scope.current_tenant_id,
                        editable=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Placement",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=200)),
                ("version", models.PositiveIntegerField(default=0, editable=False)),
                ("created_by", models.CharField(editable=False, max_length=200)),
                ("updated_by", models.CharField(editable=False, max_length=200)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("archived_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("key", models.SlugField(db_index=False, help_text="What decisions name it by; never changes.")),
                (
                    "width",
                    models.PositiveIntegerField(
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(10000),
                        ]
                    ),
                ),
                (
                    "height",
                    models.PositiveIntegerField(
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(10000),
                        ]
                    ),
                ),
                (
                    "currency",
                    models.CharField(
                        help_text="ISO 4217; advertisers with it compete here. Never changes.", max_length=3
                    ),
                ),
                (
                    "floor_micros",
                    models.BigIntegerField(
                        default=0,
                        validators=[
                            django.core.validators.MinValueValidator(0),
                            django.core.validators.MaxValueValidator(10000000000),
                        ],
                    ),
                ),
                (
                    "auction",
                    models.CharField(
                        choices=[
                            ("first_price", "First price: the winner pays its bid"),
                            ("second_price", "Second price: the highest value wins"),
                            ("gsp", "Generalised second price: value and quality win"),
                        ],
                        default="gsp",
                        max_length=12,
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        default=tenancy.scope.current_tenant_id,
                        editable=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
            ],
            options={
                "ordering": ["key"],
            },
        ),
        migrations.CreateModel(
            name="SnapshotVersion",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id", "name", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(default="snapshot", max_length=20)),
                ("version", models.BigIntegerField(default=0)),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        default=tenancy.scope.current_tenant_id,
                        editable=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="AdChange",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("advertiser", "Advertiser"),
                            ("campaign", "Campaign"),
                            ("flight", "Flight"),
                            ("creative", "Creative"),
                            ("placement", "Placement"),
                        ],
                        max_length=10,
                    ),
                ),
                ("object_id", models.UUIDField()),
                ("version", models.PositiveIntegerField(help_text="The object's version after the change.")),
                (
                    "action",
                    models.CharField(
                        choices=[
                            ("created", "Made"),
                            ("changed", "Changed"),
                            ("started", "Put live"),
                            ("paused", "Paused"),
                            ("approved", "Approved"),
                            ("rejected", "Rejected"),
                            ("archived", "Archived"),
                        ],
                        max_length=10,
                    ),
                ),
                ("actor", models.CharField(max_length=200)),
                ("before", models.JSONField(null=True)),
                ("after", models.JSONField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        default=tenancy.scope.current_tenant_id,
                        editable=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
            ],
            options={
                "ordering": ["-version"],
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "object_id", "version"), name="ad_change_version")
                ],
            },
        ),
        migrations.AddIndex(
            model_name="advertiser",
            index=models.Index(fields=["tenant", "name"], name="advertiser_name"),
        ),
        migrations.AddIndex(
            model_name="attributedconversion",
            index=models.Index(fields=["tenant", "flight_id", "occurred_at"], name="conversion_flight"),
        ),
        migrations.AddIndex(
            model_name="campaign",
            index=models.Index(fields=["tenant", "advertiser"], name="campaign_advertiser"),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                models.F("tenant"),
                models.F("subject_key"),
                models.OrderBy(models.F("placed_at"), descending=True),
                name="delivery_subject",
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(fields=["tenant", "flight_id", "placed_at"], name="delivery_flight"),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(fields=["tenant", "placed_at"], name="delivery_placed"),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("status", "open")), fields=["tenant", "expires_at"], name="delivery_open"
            ),
        ),
        migrations.AddIndex(
            model_name="filteredevent",
            index=models.Index(fields=["tenant", "flight_id", "last_at"], name="filtered_event_flight"),
        ),
        migrations.AddIndex(
            model_name="flight",
            index=models.Index(fields=["tenant", "campaign"], name="flight_campaign"),
        ),
        migrations.AddIndex(
            model_name="flight",
            index=models.Index(fields=["tenant", "status", "ends_at"], name="flight_status"),
        ),
        migrations.AddIndex(
            model_name="creative",
            index=models.Index(fields=["tenant", "flight"], name="creative_flight"),
        ),
        migrations.AddIndex(
            model_name="creative",
            index=models.Index(fields=["tenant", "review"], name="creative_review"),
        ),
        migrations.AddConstraint(
            model_name="flightbudget",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "budget_micros__gte",
                        django.db.models.expressions.CombinedExpression(
                            models.F("spent_micros"), "+", models.F("reserved_micros")
                        ),
                    ),
                    models.Q(
                        ("daily_budget_micros", None),
                        (
                            "daily_budget_micros__gte",
                            django.db.models.expressions.CombinedExpression(
                                models.F("day_spent_micros"), "+", models.F("day_reserved_micros")
                            ),
                        ),
                        _connector="OR",
                    ),
                ),
                name="flight_budget_kept",
            ),
        ),
        migrations.AddConstraint(
            model_name="flightbudget",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("carry__range", (0, 999)),
                    ("day_reserved_micros__gte", 0),
                    ("day_spent_micros__gte", 0),
                    ("reserved_micros__gte", 0),
                    ("spent_micros__gte", 0),
                ),
                name="flight_budget_positive",
            ),
        ),
        migrations.AddIndex(
            model_name="ledgerentry",
            index=models.Index(fields=["tenant", "flight_id", "billed_at"], name="ledger_flight"),
        ),
        migrations.AddConstraint(
            model_name="placement",
            constraint=models.UniqueConstraint(fields=("tenant", "key"), name="placement_key"),
        ),
        protect("ads_advertiser", privileges=OBJECT),
        protect("ads_campaign", privileges=OBJECT),
        protect("ads_flight", privileges=OBJECT),
        protect("ads_creative", privileges=OBJECT),
        protect("ads_placement", privileges=OBJECT),
        protect("ads_adchange", privileges="SELECT, INSERT"),
        tie("ads_campaign", "advertiser_id", "ads_advertiser"),
        tie("ads_flight", "campaign_id", "ads_campaign"),
        tie("ads_creative", "flight_id", "ads_flight"),
        protect("ads_snapshotversion", primary_key=None, privileges=OBJECT),
        protect("ads_flightbudget", primary_key=None, privileges=OBJECT),
        # What was billed is never changed and never goes away.
        protect("ads_ledgerentry", primary_key=None, privileges="SELECT, INSERT", console_privileges="SELECT"),
        protect("ads_delivery", primary_key=None, privileges=OBJECT, console_privileges="SELECT"),
        protect("ads_filteredevent", primary_key=None, privileges=OBJECT, console_privileges="SELECT"),
        protect("ads_attributedconversion", primary_key=None, privileges=OBJECT, console_privileges="SELECT"),
        protect("ads_creativecount", primary_key=None, privileges=OBJECT, console_privileges="SELECT"),
        protect("ads_flightpacing", primary_key=None, privileges=OBJECT, console_privileges="SELECT"),
        protect("ads_pacingstep", primary_key=None, privileges="SELECT, INSERT, DELETE", console_privileges="SELECT"),
    ]
