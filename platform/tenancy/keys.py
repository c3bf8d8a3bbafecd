"""Form of an API key: `sk_<prefix>_<secret>`. The prefix is public and names the tenant; the secret is kept hashed."""

import hashlib
import re
import secrets

_KEY = re.compile(r"^sk_(?P<prefix>(?P<tenant>[0-9a-f]{1,8})x[0-9a-f]{12})_(?P<secret>[A-Za-z0-9_-]{43})$")


def new_key(tenant_id: int) -> tuple[str, str]:
    """(prefix, secret): 6 random bytes find the key, 32 random bytes prove it."""
    return f"{tenant_id:x}x{secrets.token_hex(6)}", secrets.token_urlsafe(32)


def join_key(prefix: str, secret: str) -> str:
    return f"sk_{prefix}_{secret}"


def split_key(raw_key: str) -> tuple[str, str] | None:
    match = _KEY.match(raw_key)
    return (match["prefix"], match["secret"]) if match else None


def claimed_tenant_id(raw_key: str) -> int | None:
    """The tenant that a key says it belongs to; not yet proven."""
    match = _KEY.match(raw_key)
    if match is None:
        return None
    tenant_id = int(match["tenant"], 16)
    return tenant_id if tenant_id < 2**31 else None


def hash_secret(secret: str) -> bytes:
    """Plain SHA-256: the secret is 256 random bits, so a slow hash would add cost and no safety."""
    return hashlib.sha256(secret.encode()).digest()
