"""The tenant's backends, in their order: read, replaced, and made ready to write."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet

from apps.service.replies.backends.base import Backend
from apps.service.replies.backends.extractive import ExtractiveBackend
from apps.service.replies.backends.local_transformers import LocalTransformersBackend
from apps.service.replies.backends.openai_compatible import OpenAICompatibleBackend, is_allowed
from apps.service.replies.models import BackendKind, ReplyBackend
from tenancy.kept import Kept
from tenancy.secrets import decrypt, encrypt

MOST_BACKENDS = 10
GENERATIVE = (BackendKind.OPENAI_COMPATIBLE, BackendKind.TRANSFORMERS)


_generative: Kept[list[ReplyBackend]] = Kept(seconds=1.0)


def backends() -> QuerySet[ReplyBackend]:
    """The tenant's, in their order; none where the extractive one alone writes."""
    return ReplyBackend.objects.order_by("position")


def generative_backends() -> list[ReplyBackend]:
    """Those that are asked before the extractive one, which always has something to say or nothing; as they were at
    most a second ago."""
    return _generative.get("backends", _read_generative)


def _read_generative() -> list[ReplyBackend]:
    active = list(backends().filter(is_active=True))
    kinds = [each.kind for each in active]
    until = kinds.index(BackendKind.EXTRACTIVE) if BackendKind.EXTRACTIVE in kinds else len(kinds)
    return [each for each in active[:until] if each.kind in GENERATIVE]


def ready(row: ReplyBackend) -> Backend:
    """The backend of a row. Opens its sealed key."""
    if row.kind == BackendKind.OPENAI_COMPATIBLE:
        key = decrypt(bytes(row.sealed_key)).decode() if row.sealed_key is not None else None
        return OpenAICompatibleBackend(
            name=row.name, base_url=row.base_url, model=row.model, key=key, timeout_seconds=row.timeout_seconds
        )
    if row.kind == BackendKind.TRANSFORMERS:
        return LocalTransformersBackend(name=row.name, model=row.model, timeout_seconds=row.timeout_seconds)
    return ExtractiveBackend()


@transaction.atomic
def put_backends(*, wanted: Sequence[Mapping[str, Any]], actor: str) -> list[ReplyBackend]:
    """Replace the tenant's backends by these, in their order. One that names no `key` keeps the key of the backend that
    had its name, as long as its address is the same. Raises ValidationError that names each one that cannot be used."""
    problems = {f"backends.{at}": problem for at, each in enumerate(wanted) if (problem := _problem(each))}
    names = [each["name"] for each in wanted]
    if len(set(names)) < len(names):
        problems["backends"] = "must have names of their own"
    if len(wanted) > MOST_BACKENDS:
        problems["backends"] = f"must be at most {MOST_BACKENDS}"
    if problems:
        raise ValidationError(problems)
    before = {row.name: row for row in ReplyBackend.objects.select_for_update()}
    ReplyBackend.objects.all().delete()
    rows = [_row(place, each, before.get(each["name"]), actor) for place, each in enumerate(wanted)]
    _generative.forget("backends")
    return ReplyBackend.objects.bulk_create(rows)


def set_backend(*, wanted: Mapping[str, Any], place: int, actor: str) -> ReplyBackend:
    """Add the backend, or replace the one of its name, at `place` in the order (from 1). Raises ValidationError."""
    others = [as_wanted(row) for row in backends() if row.name != wanted["name"]]
    at = max(0, min(place - 1, len(others)))
    return put_backends(wanted=[*others[:at], wanted, *others[at:]], actor=actor)[at]


def remove_backend(*, name: str, actor: str) -> None:
    put_backends(wanted=[as_wanted(row) for row in backends() if row.name != name], actor=actor)


def as_wanted(row: ReplyBackend) -> dict[str, Any]:
    """As `put_backends` takes it; without its key, which so stays as it is."""
    return {name: getattr(row, name) for name in ("name", "kind", "base_url", "model", "timeout_seconds", "is_active")}


def _row(place: int, wanted: Mapping[str, Any], before: ReplyBackend | None, actor: str) -> ReplyBackend:
    values = {name: value for name, value in wanted.items() if name != "key"}
    sealed = None
    if wanted.get("key"):
        sealed = encrypt(wanted["key"].encode())
    elif "key" not in wanted and before is not None and before.base_url == wanted.get("base_url", ""):
        # A key that went to another server would be given away.
        sealed = bytes(before.sealed_key) if before.sealed_key is not None else None
    row = ReplyBackend(position=place, sealed_key=sealed, changed_by=actor, **values)
    if before is not None:
        row.id = before.id
    return row


def _problem(wanted: Mapping[str, Any]) -> str | None:
    kind = wanted["kind"]
    if kind == BackendKind.OPENAI_COMPATIBLE:
        if not wanted.get("base_url") or not wanted.get("model"):
            return "an openai_compatible backend needs base_url and model"
        if not is_allowed(wanted["base_url"]):
            return "base_url is no server that the operator of this suite allows (REPLY_SERVERS)"
        return None
    if wanted.get("base_url") or wanted.get("key"):
        return f"a backend of kind {kind} takes no base_url and no key"
    if kind == BackendKind.TRANSFORMERS and wanted.get("model") not in settings.REPLY_MODELS:
        known = ", ".join(sorted(settings.REPLY_MODELS)) or "none"
        return f"model is none that the operator of this suite has set up (REPLY_MODELS); known are {known}"
    return None
