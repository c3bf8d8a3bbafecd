"""Where artifacts lie: ARTIFACTS/<tenant>/<model>/<run>/<attempt>. The tenant's folder is the border."""

import hashlib
from functools import lru_cache
from pathlib import Path
from uuid import UUID

from django.conf import settings

from ml.serving.artifact import TUNED_ENCODER

READ_BYTES = 1 << 20


class ForeignArtifact(ValueError):
    """A path that does not lie in the folder of the tenant that asked."""


def run_folder(tenant_id: int, model: str, run_id: UUID) -> Path:
    return Path(settings.ARTIFACTS) / str(tenant_id) / model / str(run_id)


def relative_path(folder: Path) -> str:
    """The form in which a version stores its folder."""
    return str(folder.relative_to(settings.ARTIFACTS))


def resolve_artifact(tenant_id: int, artifact: str) -> Path:
    """The folder of a stored or received path. Raises ForeignArtifact outside the tenant's folder.

    Paths travel in messages, so nothing about them is trusted: links and `..` are followed before the check.
    """
    return _resolve(Path(settings.ARTIFACTS), tenant_id, artifact)


@lru_cache(maxsize=1024)
def _resolve(artifacts: Path, tenant_id: int, artifact: str) -> Path:
    # Kept, since every answer asks for it and each part of a path is a call to the system.
    root = (artifacts / str(tenant_id)).resolve()
    folder = (artifacts / artifact).resolve()
    if not folder.is_relative_to(root):
        raise ForeignArtifact(f"artifact '{artifact}' is not one of tenant {tenant_id}")
    return folder


def artifact_sha256(folder: Path) -> str:
    """SHA-256 over names and contents of the files of an artifact, in the order of their names.

    A tuned text encoder has a folder of its own; the other folders are no part of the model.
    """
    digest = hashlib.sha256()
    for path in sorted([*folder.iterdir(), *folder.glob(f"{TUNED_ENCODER}/*")]):
        if not path.is_file():
            continue
        digest.update(f"{path.relative_to(folder)}\x00{path.stat().st_size}\x00".encode())
        with path.open("rb") as file:
            while block := file.read(READ_BYTES):
                digest.update(block)
    return digest.hexdigest()
