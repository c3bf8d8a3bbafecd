"""Pseudonyms and encryption: raw subject ids never reach the event log.

Subject keys are HMAC-SHA256 under a key of the tenant, so the same person has unrelated keys at two tenants. What must
be readable again (the vault's raw ids, the tenants' keys themselves) is sealed with AES-256-GCM.
"""

import base64
import hashlib
import hmac
import os
from functools import cache

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from tenancy.models import TenantSecret
from tenancy.scope import current_tenant_id

_NONCE_BYTES = 12
_tenant_keys: dict[int, bytes] = {}


@cache
def _cipher() -> AESGCM:
    derived = HKDF(SHA256(), 32, salt=None, info=b"sequitur at rest").derive(settings.ENCRYPTION_KEY.encode())
    return AESGCM(derived)


def encrypt(plain: bytes, tenant_id: int | None = None) -> bytes:
    """Nonce and ciphertext, bound to a tenant, by default the one in scope: another tenant's scope cannot open it."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + _cipher().encrypt(nonce, plain, _bound_to(tenant_id or current_tenant_id()))


def decrypt(sealed: bytes) -> bytes:
    """Opens what `encrypt` sealed in the same tenant's scope. Raises cryptography.exceptions.InvalidTag otherwise."""
    return _cipher().decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _bound_to(current_tenant_id()))


def _bound_to(tenant_id: int) -> bytes:
    return b"tenant:%d" % tenant_id


def create_subject_secret() -> None:
    TenantSecret.objects.create(purpose="subject", ciphertext=encrypt(os.urandom(32)))


def subject_secret() -> bytes:
    """The 32-byte HMAC key of the tenant in scope; it never changes, so it is kept in memory once opened."""
    tenant_id = current_tenant_id()
    if tenant_id not in _tenant_keys:
        sealed = TenantSecret.objects.values_list("ciphertext", flat=True).get(purpose="subject")
        _tenant_keys[tenant_id] = decrypt(bytes(sealed))
    return _tenant_keys[tenant_id]


def subject_key(kind: str, raw_id: str, *, secret: bytes | None = None) -> bytes:
    """32-byte pseudonym of a subject; `kind` is user_id, anonymous_id or session_id and keeps equal ids apart."""
    return hmac.digest(secret or subject_secret(), f"{kind}\x1f{raw_id}".encode(), hashlib.sha256)


def public_subject_id(key: bytes) -> str:
    """Short readable form of a subject key for the console and logs."""
    return base64.b32encode(key[:10]).decode().lower()
