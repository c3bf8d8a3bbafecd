"""Settings of every process. Each value comes from the environment, or from a default that needs nothing installed."""

import os
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from psycopg.conninfo import conninfo_to_dict

from config import embedded
from config.logs import configure_logging
from config.proxies import parse_networks

ROOT = Path(__file__).resolve().parents[2]
VAR = embedded.default_home()


def env(name: str, default: str = "") -> str:
    """A variable of the environment; one that is left empty, as in a file of variables, counts as unset."""
    return os.environ.get(name) or default


def flag(name: str, default: bool) -> bool:
    return env(name, str(default)).strip().lower() in {"1", "true", "yes", "on"}


PROCESS = env("SEQUITUR_PROCESS", "app")
if PROCESS not in {"app", "console", "owner"}:
    raise ValueError(f"SEQUITUR_PROCESS is '{PROCESS}'; use app, console or owner")


def stored_secret(name: str) -> str:
    """A random secret kept in VAR with mode 0600, so that a restart keeps sessions and encrypted rows readable."""
    path = VAR / name
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        VAR.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(48))
    return path.read_text().strip()


# Security ------------------------------------------------------------------------------------------------------------
DEBUG = flag("DEBUG", False)
SECRET_KEY = env("SECRET_KEY") or stored_secret("secret_key")
# Encrypts raw subject ids and tenant secrets at rest; separate from SECRET_KEY so that either can be rotated alone.
ENCRYPTION_KEY = env("ENCRYPTION_KEY") or stored_secret("encryption_key")
ALLOWED_HOSTS = env("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1],testserver").split(",")
CSRF_TRUSTED_ORIGINS = [origin for origin in env("CSRF_TRUSTED_ORIGINS").split(",") if origin]
# Proxies whose X-Forwarded-For and X-Forwarded-Proto count: addresses or networks, separated by commas.
TRUSTED_PROXIES = parse_networks(env("TRUSTED_PROXIES"))
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = flag("HTTPS_ONLY", False)
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True

# Databases and broker ------------------------------------------------------------------------------------------------
ADDRESSES = embedded.environment(VAR)
VALKEY_URL = ADDRESSES["VALKEY_URL"]
DATABASE_URLS = {
    "app": ADDRESSES["DATABASE_URL"],
    "owner": ADDRESSES["DATABASE_OWNER_URL"],
    "console": ADDRESSES["DATABASE_CONSOLE_URL"],
}
DATABASE_ROLES = {process: conninfo_to_dict(url)["user"] for process, url in DATABASE_URLS.items()}


def database(url: str) -> dict[str, object]:
    parts = conninfo_to_dict(url)
    pool = {"min_size": 1, "max_size": int(env("DATABASE_POOL", "12")), "timeout": 10}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.pop("dbname"),
        "USER": parts.pop("user"),
        "PASSWORD": parts.pop("password", ""),
        "HOST": parts.pop("host", ""),
        "PORT": str(parts.pop("port", "")),
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            **parts,
            **({"pool": pool} if flag("DATABASE_POOLED", False) else {}),
            # A pooler between us and the database must know prepared statements (PgBouncer from 1.21 on).
            "prepare_threshold": 1 if flag("DATABASE_PREPARED", True) else None,
        },
        "CONN_MAX_AGE": 0 if flag("DATABASE_POOLED", False) else 600,
        "DISABLE_SERVER_SIDE_CURSORS": True,
    }


DATABASES = {"default": database(DATABASE_URLS[PROCESS])}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Applications --------------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "axes",
    "config",
    "tenancy",
    "webhooks",
    "behavior",
    "catalog",
    "decisions",
    "serving",
    "api",
    "console",
    "apps.recommendation",
    "apps.risk",
    "apps.service",
    "apps.ads",
]
MIDDLEWARE_BY_PROCESS = {
    "console": [
        "config.proxies.TrustedProxies",
        "django.middleware.security.SecurityMiddleware",
        "whitenoise.middleware.WhiteNoiseMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
        "console.middleware.OperatorTenantMiddleware",
        "axes.middleware.AxesMiddleware",
    ],
    "app": [
        "config.proxies.TrustedProxies",
        "api.middleware.RequestIdMiddleware",
        "django.middleware.security.SecurityMiddleware",
        "whitenoise.middleware.WhiteNoiseMiddleware",
        "django.middleware.common.CommonMiddleware",
        "api.middleware.ApiKeyMiddleware",
    ],
}
MIDDLEWARE = MIDDLEWARE_BY_PROCESS["console" if PROCESS == "console" else "app"]
# The admin is installed everywhere for its tables, but only the console serves it and has the middleware it wants.
SILENCED_SYSTEM_CHECKS = [] if PROCESS == "console" else ["admin.E408", "admin.E409", "admin.E410", "axes.W002"]
ROOT_URLCONF = "config.urls_console" if PROCESS == "console" else "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
AXES_VERBOSE = False
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = 0.25  # hours
# Of an account from an address: others behind the same address, and the same person elsewhere, can still log in.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_HANDLER = "console.logins.LoginLimits"
# Of all accounts together within AXES_COOLOFF_TIME, after which their address waits: enough for an office behind one.
LOGIN_FAILURES_PER_ADDRESS = int(env("LOGIN_FAILURES_PER_ADDRESS", "50"))
AXES_LOCKOUT_CALLABLE = "console.views.locked_out"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
STATIC_URL = "/static/"
STATIC_ROOT = VAR / "static"
STATIC_ROOT.mkdir(parents=True, exist_ok=True)
WHITENOISE_USE_FINDERS = True
LANGUAGE_CODE = "en"
FORMAT_MODULE_PATH = "console.formats"
TIME_ZONE = "UTC"
USE_TZ = True
# A batch of 1,000 events is about 1 MB; the views answer 413 above it with the cure.
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024 * 1024

# API -----------------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["api.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["api.permissions.HasScope"],
    "DEFAULT_THROTTLE_CLASSES": ["api.throttling.KeyThrottle"],
    "DEFAULT_RENDERER_CLASSES": ["api.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "api.renderers.Negotiation",
    "DEFAULT_PARSER_CLASSES": ["api.parsers.JSONParser"],
    "DEFAULT_PAGINATION_CLASS": "api.pagination.CursorPages",
    "EXCEPTION_HANDLER": "api.errors.problem_response",
    "DEFAULT_SCHEMA_CLASS": "api.schema.ProblemSchema",
    "UNAUTHENTICATED_USER": None,
    # The header Accept says what a client takes; a parameter for it would be one that lists refuse.
    "URL_FORMAT_OVERRIDE": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Sequitur",
    "DESCRIPTION": "Behaviour in, decisions out. Each answer has a decision id; send it back with what happened next.",
    "VERSION": "1",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "validatorUrl": None},
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "api.glossary.describe_fields",
    ],
    "ENUM_NAME_OVERRIDES": {
        "RuleKindEnum": "apps.recommendation.models.RuleKind",
        "RuleStatusEnum": "apps.recommendation.models.RuleStatus",
        "RiskActionEnum": "apps.risk.rules.models.RiskAction",
        "RiskRuleChangeActionEnum": "apps.risk.rules.models.RiskRuleChange.Action",
        "ListKindEnum": "apps.risk.lists.models.ListKind",
        # Training runs and batches have the same statuses.
        "JobStatusEnum": "serving.models.RunStatus",
        "CaseStatusEnum": "apps.risk.cases.models.CaseStatus",
        "LabelKindEnum": "apps.risk.transactions.models.Label.Kind",
        "AlertOutcomeEnum": "apps.risk.cases.models.Outcome",
        "SourceKindEnum": "apps.service.knowledge.models.SourceKind",
        "SourceStatusEnum": "apps.service.knowledge.models.SourceStatus",
        "SourceVersionActionEnum": "apps.service.knowledge.models.SourceVersion.Action",
        "SourceLanguageEnum": "apps.service.knowledge.models.SourceLanguage",
        "ConversationStatusEnum": "apps.service.conversations.models.ConversationStatus",
        "ReplyStatusEnum": "apps.service.replies.models.ReplyStatus",
        "ReplyActionEnum": "apps.service.replies.models.ReplyAction",
        "SearchStageEnum": "apps.service.knowledge.searching.STAGES",
        "ExperimentArmEnum": "apps.service.experiments.models.Arm",
        "ExperimentOutcomeEnum": "apps.service.experiments.models.ExperimentOutcome",
        "FlightStatusEnum": "apps.ads.campaigns.models.FlightStatus",
        "AudienceBuildStatusEnum": "apps.ads.audiences.models.BuildStatus",
        "AdChangeActionEnum": "apps.ads.campaigns.models.AdChange.Action",
        "VerdictEnum": ["ok", "thin", "insufficient"],
        "AssessmentVerdictEnum": "apps.risk.assessments.serializers.VERDICTS",
        "AssessmentResultEnum": "apps.risk.assessments.serializers.RESULTS",
        "RetrainEnum": "serving.schedules.RETRAIN",
    },
}
# Where clients reach the API: the addresses of pixels and clicks of ads begin with it, and the console's examples.
API_URL = env("API_URL") or f"http://127.0.0.1:{env('PORT', '8000')}"
# Hosts whose pictures of items the console may show, separated by commas; it fetches nothing from outside otherwise.
IMAGE_HOSTS = frozenset(host for host in env("IMAGE_HOSTS").split(",") if host)
API_REQUESTS_PER_MINUTE = int(env("API_REQUESTS_PER_MINUTE", "60000"))
# That one statement of an API request may take in the database; streams, files and workers take what they need.
API_STATEMENT_SECONDS = int(env("API_STATEMENT_SECONDS", "30"))
# Of one customer in all conversations together: nobody types faster, and each costs a reply.
CUSTOMER_MESSAGES_PER_MINUTE = int(env("CUSTOMER_MESSAGES_PER_MINUTE", "30"))
# Seconds that a help desk's message waits for what the customer adds to it, before one reply answers all of it.
INBOUND_PAUSE = float(env("INBOUND_PAUSE", "4"))
# Pixels and clicks of ads of one address, or one network of IPv6; behind a proxy see TRUSTED_PROXIES.
AD_EVENTS_PER_MINUTE = int(env("AD_EVENTS_PER_MINUTE", "6000"))

# Quarantine ----------------------------------------------------------------------------------------------------------
# Days after which an event that could not be stored is deleted, since it holds raw ids: once it was mended or given up,
# and while it waits for that.
QUARANTINE_RESOLVED_DAYS = int(env("QUARANTINE_RESOLVED_DAYS", "30"))
QUARANTINE_OPEN_DAYS = int(env("QUARANTINE_OPEN_DAYS", "90"))

# Queues --------------------------------------------------------------------------------------------------------------
CELERY_BROKER_URL = ADDRESSES["CELERY_BROKER_URL"]
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TIMEZONE = "UTC"
# One visibility timeout serves all workers of a Valkey database, so it must exceed the longest late-acknowledged task;
# training acknowledges early and holds a lease on its row instead.
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 600} if "redis" in CELERY_BROKER_URL else {}
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR / "beat-schedule")
NEVER = datetime(2000, 1, 1, tzinfo=UTC)
CELERY_BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    # Due at once where beat has never run here: an old backup may have run out of partitions.
    "make-partitions-ahead": {"task": "behavior.make_partitions_ahead", "schedule": 6 * 3600.0, "last_run_at": NEVER},
    "expire-receipts": {"task": "behavior.expire_receipts", "schedule": 3600.0},
    "expire-quarantine": {"task": "behavior.expire_quarantine", "schedule": 3600.0},
    "refresh-item-popularity": {"task": "behavior.refresh_item_popularity", "schedule": 300.0},
    "refresh-purchase-habits": {"task": "recommendation.refresh_purchase_habits", "schedule": 900.0},
    "expire-idempotency-keys": {"task": "api.expire_idempotency_keys", "schedule": 3600.0},
    "index-changed-items": {"task": "catalog.index_changed_items", "schedule": 15.0},
    "encode-item-texts": {"task": "serving.encode_item_texts", "schedule": 15.0},
    "refresh-kpi": {"task": "decisions.refresh_kpi", "schedule": 60.0},
    "requeue-expired-runs": {"task": "serving.requeue_expired_runs", "schedule": 15.0},
    "tend-batches": {"task": "recommendation.tend_batches", "schedule": 15.0},
    "expire-batches": {"task": "recommendation.expire_batches", "schedule": 3600.0},
    "ask-challengers": {"task": "risk.ask_challengers", "schedule": 15.0},
    "retrain-risk-models": {"task": "risk.retrain", "schedule": 900.0},
    "send-webhooks": {"task": "webhooks.send", "schedule": 15.0},
    "send-digests": {"task": "risk.send_digests", "schedule": 600.0},
    "expire-webhook-deliveries": {"task": "webhooks.expire_deliveries", "schedule": 6 * 3600.0},
    "expire-shadow-scores": {"task": "risk.expire_shadow_scores", "schedule": 6 * 3600.0},
    "project-transactions": {"task": "risk.project_transactions", "schedule": 5.0},
    "encode-knowledge": {"task": "service.encode_knowledge", "schedule": 15.0},
    "count-knowledge-terms": {"task": "service.count_knowledge_terms", "schedule": 60.0},
    "learn-usual-questions": {"task": "service.learn_usual_questions", "schedule": 600.0},
    "count-risk-rule-hits": {"task": "risk.count_rule_hits", "schedule": 60.0},
    "learn-from-agents": {"task": "service.learn", "schedule": 60.0},
    "retrain-reply-models": {"task": "service.retrain", "schedule": 900.0},
    "settle-late-replies": {"task": "service.settle_late_replies", "schedule": 15.0},
    "answer-left-messages": {"task": "service.answer_left", "schedule": 60.0},
    "pace-ads": {"task": "ads.pace", "schedule": 30.0},
    "add-up-ad-goals": {"task": "ads.add_up_goals", "schedule": 3600.0},
    "return-expired-ads": {"task": "ads.return_expired", "schedule": 15.0},
    "settle-ad-conversions": {"task": "ads.settle_conversions", "schedule": 15.0},
    "log-ad-deliveries": {"task": "ads.log_deliveries", "schedule": 15.0},
    "count-ad-creatives": {"task": "ads.count_creatives", "schedule": 600.0},
    "tend-ad-audiences": {"task": "ads.tend_audiences", "schedule": 300.0},
    "expire-ad-pacing-steps": {"task": "ads.expire_pacing_steps", "schedule": 6 * 3600.0},
    "sweep-model-versions": {"task": "serving.sweep_versions", "schedule": 24 * 3600.0},
    "tend-risk-back-tests": {"task": "risk.tend_back_tests", "schedule": 300.0},
}

# A repetition that has waited until the next one is of no use.
for _repeated in CELERY_BEAT_SCHEDULE.values():
    _repeated["options"] = {"expires": max(_repeated["schedule"], 60.0)}

# Engine --------------------------------------------------------------------------------------------------------------
SNAPSHOTS = Path(env("SNAPSHOTS") or VAR / "snapshots")
ARTIFACTS = Path(env("ARTIFACTS") or VAR / "artifacts")
GATEWAY_TRANSPORT = env("GATEWAY_TRANSPORT", "queue")
GATEWAY_DEADLINE = float(env("GATEWAY_DEADLINE", "0.5"))  # seconds
# What a search waits for its cross-encoder, which reads several passages for one answer.
CROSS_ENCODER_DEADLINE = float(env("CROSS_ENCODER_DEADLINE", "1.0"))  # seconds
MODEL_POOL_BYTES = int(env("MODEL_POOL_BYTES", str(1024**3)))
# Within about this time an item that came into the catalogue can be recommended; seconds.
NEW_ITEMS_SECONDS = float(env("NEW_ITEMS_SECONDS", "30"))
# Languages that TEXT_ENCODER reads, of en, zh and other, separated by commas. What customer service knows in another
# one is found by its words alone: the encoder that comes along tells English texts apart, and hardly any Chinese ones.
TEXT_ENCODER_LANGUAGES = frozenset(env("TEXT_ENCODER_LANGUAGES", "en").replace(" ", "").split(","))
TRAINING_LEASE = float(env("TRAINING_LEASE", "60"))  # seconds
# All tenants' runs wait for one worker, so none may be worked on for longer than this, in all its attempts together.
TRAINING_HOURS = float(env("TRAINING_HOURS", "12"))
# Of each line the newest versions that could be promoted; files of older ones that nothing names are deleted.
KEPT_VERSIONS = int(env("KEPT_VERSIONS", "5"))

# Attribution ---------------------------------------------------------------------------------------------------------
# How long after a decision the events that name it count for it: impressions and clicks, then carts and purchases.
CLICK_WINDOW_MINUTES = float(env("CLICK_WINDOW_MINUTES", "30"))
PURCHASE_WINDOW_DAYS = float(env("PURCHASE_WINDOW_DAYS", "7"))
# Batches -------------------------------------------------------------------------------------------------------------
BATCHES = Path(env("BATCHES") or VAR / "batches")
BATCH_CHUNK = int(env("BATCH_CHUNK", "200"))  # subjects that a worker takes at a time
BATCH_LEASE = float(env("BATCH_LEASE", "120"))  # seconds after which a chunk is taken from a silent worker
BATCH_WORKERS = int(env("BATCH_WORKERS", "8"))  # chunks of one batch that are under way at a time, at most
BATCH_KEPT_DAYS = int(env("BATCH_KEPT_DAYS", "7"))  # after which an exported file is deleted

# Replies -------------------------------------------------------------------------------------------------------------
# Servers that speak the OpenAI chat API and may write replies, as addresses separated by commas; tenants choose among
# these alone: https://models.example:443,http://127.0.0.1:11434
REPLY_SERVERS = [each.strip() for each in env("REPLY_SERVERS").split(",") if each.strip()]
# Local causal language models by name, as folders of the transformers library: small=/models/small,large=/models/large
REPLY_MODELS = dict(each.strip().split("=", 1) for each in env("REPLY_MODELS").split(",") if "=" in each)
# After so many seconds a reply that no worker has finished is settled without a generation.
GENERATION_DEADLINE = float(env("GENERATION_DEADLINE", "30"))
# Replies that one process lets clients follow at a time, half of them for one tenant: each holds a thread.
REPLY_STREAMS = int(env("REPLY_STREAMS", "2"))

# Notifications -------------------------------------------------------------------------------------------------------
# Webhooks reach public addresses alone, over https; this lets them reach the private network, and this machine by http.
WEBHOOKS_TO_PRIVATE_ADDRESSES = flag("WEBHOOKS_TO_PRIVATE_ADDRESSES", False)
# Where operators reach the console, as e-mails name it.
CONSOLE_URL = env("CONSOLE_URL") or f"http://127.0.0.1:{env('CONSOLE_PORT', '8001')}"
# Without a mail server e-mails are written to files.
EMAIL_HOST = env("EMAIL_HOST")
EMAIL_PORT = int(env("EMAIL_PORT", "587"))
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = env("EMAIL_HOST_USER"), env("EMAIL_HOST_PASSWORD")
EMAIL_USE_TLS = flag("EMAIL_USE_TLS", True)
EMAIL_TIMEOUT = 10.0  # seconds
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if EMAIL_HOST else 'filebased'}.EmailBackend"
EMAIL_FILE_PATH = VAR / "mail"
DEFAULT_FROM_EMAIL = env("EMAIL_FROM", "sequitur@localhost")

LOGGING_CONFIG = None
configure_logging(as_json=flag("LOG_JSON", False), level=env("LOG_LEVEL", "INFO"))

from config.console_theme import UNFOLD  # noqa: E402, F401  the console's navigation, kept in a file of its own
