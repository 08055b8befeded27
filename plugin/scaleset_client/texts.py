"""What of a body may stand in an error: short, on one line, without secrets (protocol 5.1)."""

import re
from collections.abc import Iterable

__all__ = ["excerpt", "header_text", "plain_id", "scrub"]

LONGEST = 300
"""Characters of a body in an error message at most."""

CONSIDERED = 4096
"""Characters of a body looked at."""

MASK = "***"

SECRET_FORMS = re.compile(
    r"gh[a-z]_\w+"  # GitHub's tokens
    r"|github_pat_\w+"
    r"|ey[IJ][\w+/=-]{8,}(?:\.[\w-]*)*"  # a JWT, or base64 of a JSON object: a JIT config
    r"|[A-Za-z0-9+/_-]{64,}={0,2}"  # keys and other long runs; a runner's name has fewer characters
    r"|-----BEGIN[^-]*-----[^-]*(?:-----END[^-]*-----)?"
)
SECRET_FIELDS = re.compile(
    r'("?(?:token|password|secret|encoded_?jit_?config|message_?queue_?access_?token)"?\s*[:=]\s*"?)[^"\s,}]+',
    re.IGNORECASE,
)
SCHEMES = re.compile(r"\b(Bearer|RemoteAuth|Basic)\s+\S+", re.IGNORECASE)
PLAIN_ID = re.compile(r"[0-9A-Z]{1,16}(?::[0-9A-Z]{1,16}){1,8}")
"""GitHub's own form of a request's id: groups too short for a secret. An answer to a mint needs no longer look."""

TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
TAG = re.compile(r"<[^>]*>?")


def scrub(text: str, secrets: Iterable[str] = ()) -> str:
    """Mask the given secrets, and whatever looks like one."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, MASK)
    text = SCHEMES.sub(rf"\1 {MASK}", text)
    text = SECRET_FIELDS.sub(rf"\1{MASK}", text)
    return SECRET_FORMS.sub(MASK, text)


def excerpt(text: str, secrets: Iterable[str] = ()) -> str:
    """Return what a person needs of a body's text; of an HTML page, its title."""
    text = text[:CONSIDERED]
    if text.lstrip()[:1] == "<":
        title = TITLE.search(text)
        text = f"HTML page: {title.group(1) if title else TAG.sub(' ', text)}"
    clean = scrub("".join(char if char.isprintable() else " " for char in text), secrets)
    clean = " ".join(clean.split())
    return clean if len(clean) <= LONGEST else clean[: LONGEST - 3] + "..."


def plain_id(value: str | None) -> str | None:
    """Return an id of GitHub's own form from a header, which is surely no secret; nothing if it has another."""
    return value if value and PLAIN_ID.fullmatch(value) else None


def header_text(value: str | None, secrets: Iterable[str] = ()) -> str | None:
    """Return an id from a header, or nothing if it is not one."""
    if not value or plain_id(value):
        return value or None
    clean = scrub("".join(char for char in value[:100] if char.isprintable()), secrets).strip()
    return clean or None
