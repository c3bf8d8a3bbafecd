"""Signed tokens by which browsers report what became of an ad, without an API key.

A token names its tenant, as an API key does, so that it is checked inside that tenant's scope: `ad_<tenant>x<payload>_
<signature>`. The payload is the delivery and the second until which it may be used; the signature is HMAC-SHA256 under
a key that only this tenant has. Whether a token was used before is the database's to say.
"""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from uuid import UUID

from tenancy.secrets import subject_secret

_TOKEN = re.compile(r"^ad_(?P<tenant>[0-9a-f]{1,8})x(?P<payload>[A-Za-z0-9_-]{27})_(?P<signature>[A-Za-z0-9_-]{43})\Z")
TOKEN_LENGTH = 200


class BadToken(Exception):
    """The token was not made here, or was changed on its way."""


@dataclass(frozen=True)
class Token:
    delivery_id: UUID
    expires_at: datetime

    @property
    def is_expired(self) -> bool:
        return datetime.now(UTC) >= self.expires_at


def make_token(delivery_id: UUID, *, tenant_id: int, expires_at: datetime) -> str:
    """The token of a delivery of the tenant in scope; `expires_at` counts to the second."""
    payload = _text(delivery_id.bytes + int(expires_at.timestamp()).to_bytes(4, "big"))
    head = f"ad_{tenant_id:x}x{payload}"
    return f"{head}_{_signature(head)}"


def claimed_tenant_id(raw: str) -> int | None:
    """The tenant that a token says it belongs to; not yet proven."""
    match = _TOKEN.match(raw)
    tenant_id = int(match["tenant"], 16) if match else None
    return tenant_id if tenant_id is not None and tenant_id < 2**31 else None


def read_token(raw: str, *, tenant_id: int) -> Token:
    """Must be called in the tenant's scope. Raises BadToken, also for the token of another tenant."""
    match = _TOKEN.match(raw)
    if match is None or int(match["tenant"], 16) != tenant_id:
        raise BadToken("this is no token of this business")
    head, signature = raw[: match.end("payload")], match["signature"]
    if not hmac.compare_digest(_signature(head), signature):
        raise BadToken("this token was changed on its way")
    payload = base64.urlsafe_b64decode(match["payload"] + "=")
    return Token(UUID(bytes=payload[:16]), datetime.fromtimestamp(int.from_bytes(payload[16:], "big"), tz=UTC))


def _signature(head: str) -> str:
    signing = _begun(subject_secret()).copy()
    signing.update(head.encode())
    return _text(signing.digest())


@cache
def _begun(secret: bytes) -> hmac.HMAC:
    """To be copied: a new one would look up its hash function and digest the key each time."""
    return hmac.new(hmac.digest(secret, b"ads token", hashlib.sha256), digestmod=hashlib.sha256)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
