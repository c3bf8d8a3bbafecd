"""What replies rest on: sources with their versions, the chunks by which they are found, and imports of files."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.utils import timezone

from catalog.models import VECTOR_DIMENSION
from catalog.vectors import VectorField
from tenancy.models import Tenant, TenantOwned
from tenancy.scope import current_tenant_id

LONGEST_BODY = 100_000  # characters


class SourceKind(models.TextChoices):
    ARTICLE = "article", "Article"
    MACRO = "macro", "Macro"
    REPLY = "reply", "Past reply"


class SourceLanguage(models.TextChoices):
    ENGLISH = "en", "English"
    CHINESE = "zh", "Chinese"
    OTHER = "other", "Another"


class SourceAudience(models.TextChoices):
    """Who may be told what a source says."""

    PUBLIC = "public", "Everybody"
    SEGMENT = "segment", "Customers of the named segments"
    AGENTS = "agents", "Agents only"


class SourceStatus(models.TextChoices):
    DRAFT = "draft", "Draft"
    PUBLISHED = "published", "Published"
    RETIRED = "retired", "Retired"


class Source(TenantOwned):
    """An article, a macro or a past reply that was accepted. `body` is Markdown; a macro's may hold slots."""

    kind = models.CharField(max_length=10, choices=SourceKind.choices, default=SourceKind.ARTICLE)
    external_id = models.CharField(
        max_length=200, blank=True, db_collation="C", help_text="The tenant's own id of it; an import goes by it."
    )
    title = models.CharField(max_length=300)
    body = models.TextField(max_length=LONGEST_BODY)
    language = models.CharField(max_length=5, choices=SourceLanguage.choices, default=SourceLanguage.ENGLISH)
    audience = models.CharField(max_length=10, choices=SourceAudience.choices, default=SourceAudience.PUBLIC)
    segments = ArrayField(models.CharField(max_length=50), blank=True, default=list)
    tags = ArrayField(models.CharField(max_length=50), blank=True, default=list)
    valid_from = models.DateTimeField(null=True, blank=True)
    valid_until = models.DateTimeField(null=True, blank=True)
    status = models.CharField(max_length=10, choices=SourceStatus.choices, default=SourceStatus.DRAFT)
    version = models.PositiveIntegerField(default=0, editable=False)
    content_hash = models.BinaryField(max_length=32, help_text="of kind, title and body")
    stripped = models.JSONField(default=dict, help_text="what was taken out of the last text that was written, counted")
    created_by = models.CharField(max_length=200, editable=False)
    updated_by = models.CharField(max_length=200, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = "article or macro"
        verbose_name_plural = "articles and macros"
        ordering = ["-id"]
        indexes = [
            models.Index("tenant", "kind", "status", "id", name="source_kind_status"),
            models.Index("tenant", "content_hash", name="source_content"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "kind", "external_id"],
                condition=~models.Q(external_id=""),
                name="source_external_id",
            )
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def is_valid_now(self) -> bool:
        now = timezone.now()
        return (self.valid_from is None or self.valid_from <= now) and (
            self.valid_until is None or now < self.valid_until
        )


class SourceVersion(TenantOwned):
    """A source as it was after a change, and who changed it. Append-only."""

    class Action(models.TextChoices):
        CREATED = "created", "Made"
        CHANGED = "changed", "Changed"
        PUBLISHED = "published", "Published"
        RETIRED = "retired", "Retired"
        RESTORED = "restored", "Restored"

    source = models.ForeignKey(Source, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="versions")
    version = models.PositiveIntegerField()
    action = models.CharField(max_length=10, choices=Action.choices)
    actor = models.CharField(max_length=200)
    contents = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-version"]
        constraints = [models.UniqueConstraint(fields=["tenant", "source", "version"], name="source_version")]

    def __str__(self) -> str:
        return f"{self.version}: {self.get_action_display()} by {self.actor}"


class Chunk(TenantOwned):
    """A part of a published source that can be found and quoted; other sources have none.

    `readers`, `kind` and validity repeat the source's, so that an index's matches are narrowed where they are read.
    `document` holds the words by weight: A title, B headings, D text. `encoder` names the encoder that has read the
    chunk; empty while none has.
    """

    source = models.ForeignKey(Source, models.CASCADE, db_constraint=False, db_index=False, related_name="chunks")
    place = models.PositiveIntegerField(help_text="from 0")
    headings = models.TextField(blank=True)
    text = models.TextField()
    kind = models.CharField(max_length=10)
    language = models.CharField(max_length=5, help_text="zh where most of the chunk is, whatever the source says")
    readers = ArrayField(models.TextField())
    valid_from = models.DateTimeField(null=True)
    valid_until = models.DateTimeField(null=True)
    document = SearchVectorField()
    encoder = models.CharField(max_length=16, blank=True, db_collation="C")
    # Its index is a graph that knows no tenant; the migration makes it.
    embedding = VectorField(dimension=VECTOR_DIMENSION, null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["source", "place"]
        indexes = [
            GinIndex("tenant", "document", name="chunk_document"),
            models.Index("tenant", "encoder", "language", name="chunk_encoder"),
            models.Index("tenant", "created_at", name="chunk_created"),
        ]
        constraints = [models.UniqueConstraint(fields=["tenant", "source", "place"], name="chunk_place")]

    def __str__(self) -> str:
        return f"{self.source_id} {self.place}"


class TermCount(models.Model):
    """In how many of the tenant's chunks a term occurs, counted now and then; '' counts all chunks.

    Terms of few chunks are left out, and count as rare.
    """

    pk = models.CompositePrimaryKey("tenant_id", "term")
    tenant = models.ForeignKey(
        Tenant, models.DO_NOTHING, default=current_tenant_id, editable=False, db_index=False, related_name="+"
    )
    term = models.CharField(max_length=400, db_collation="C")
    chunks = models.PositiveIntegerField()

    def __str__(self) -> str:
        return self.term


class UsualQuestion(TenantOwned):
    """What customers' questions have in common, told from the newest ones; one for each tenant.

    `vector` is the mean of their sentences' vectors by `encoder`; `terms` says how many of `questions` have a term, of
    those that several have. `newest` is the last message that was read.
    """

    questions = models.PositiveIntegerField()
    terms = models.JSONField()
    encoder = models.CharField(max_length=16, db_collation="C")
    vector = VectorField(dimension=VECTOR_DIMENSION, null=True)
    newest = models.UUIDField()
    learned_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant"], name="usual_question_tenant")]

    def __str__(self) -> str:
        return f"of {self.questions} questions"


class KnowledgeImport(TenantOwned):
    """Files that were brought in, and what became of each of their rows."""

    files = ArrayField(models.CharField(max_length=200))
    counts = models.JSONField(help_text="how many rows were ok, duplicate and rejected")
    results = models.JSONField(help_text="one for each row, in their order")
    actor = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "import of knowledge"
        verbose_name_plural = "imports of knowledge"
        ordering = ["-id"]

    def __str__(self) -> str:
        return ", ".join(self.files)[:100]
