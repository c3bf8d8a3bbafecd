"""What one version says, asked again: for explaining an answer that it gave."""

from uuid import UUID

import structlog
from django.conf import settings

from ml.serving.requests import NextItemPrediction, NextItemRequest
from serving import engine, inbox
from serving.artifacts import ForeignArtifact, resolve_artifact
from serving.inbox import AnswerFailed, NoAnswer
from serving.models import ModelVersion
from tenancy.scope import current_tenant_id

log = structlog.get_logger(__name__)

# A person waits; an old version has to be loaded first.
SECONDS = 5.0


class VersionGone(LookupError):
    """The version, or its artifact, is no longer there."""


class NoReplay(RuntimeError):
    """The version is there, but could not be asked now: no worker in time, or it failed."""


def replay(version_id: UUID, request: NextItemRequest, *, by_rules: bool = False) -> NextItemPrediction:
    """The prediction of exactly this version of the tenant in scope, or of its rules; no other one stands in for it.

    Raises VersionGone and NoReplay.
    """
    version = ModelVersion.objects.filter(id=version_id).first()
    if version is None:
        raise VersionGone(f"version {version_id} is no longer kept")
    try:
        folder = resolve_artifact(current_tenant_id(), version.artifact)
    except ForeignArtifact as error:
        raise VersionGone(str(error)) from error
    if not folder.is_dir():
        raise VersionGone(f"the artifact of version {version.number} is no longer kept")
    try:
        if by_rules:
            return engine.rules(folder).predict([request])[0]
        if settings.GATEWAY_TRANSPORT == "inline":
            return engine.predict(folder, [request])[0]
        return inbox.ask(tenant_id=current_tenant_id(), artifact=version.artifact, request=request, seconds=SECONDS)
    except NoAnswer as error:
        raise NoReplay(str(error)) from error
    except AnswerFailed as error:
        raise NoReplay(f"version {version.number} failed: {error}") from error
    except Exception as error:
        log.exception("replay_failed", version=str(version_id), artifact=version.artifact)
        raise NoReplay(f"version {version.number} cannot be read") from error
