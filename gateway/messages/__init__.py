"""Every message to people, by code, in English and Chinese. Log events are not here.

The rooms of this package are tables, code → (English, Chinese), for a translator to read
side by side. ``text("unknown_key", "en", key="adress")`` fills one entry. Both languages
use the same fields, every code is used, and nothing is said to people that is not here:
``tests/words/test_messages.py`` holds all of it. A message names the thing, the value and the
remedy. A new one goes into the room of its area.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gateway.messages import (
    devices,
    journal,
    keys,
    options,
    pages,
    reading,
    system,
    usage,
    verbs,
)

LANGUAGES: Final = ("en", "zh")

CATALOGUE: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        **reading.TEXTS,
        **keys.TEXTS,
        **devices.TEXTS,
        **journal.TEXTS,
        **system.TEXTS,
        **verbs.TEXTS,
        **usage.TEXTS,
        **options.TEXTS,
        **pages.TEXTS,
    }
)
"""code → (English, Chinese); a code stands in one room only."""


def text(code: str, lang: str, **fields: object) -> str:
    """The message ``code`` in ``lang``, filled with ``fields``; errors among them are told.

    Raises:
        KeyError: The catalogue has no such code, or a field of it is not given.
    """
    said = {
        key: told(value, lang) if isinstance(value, Exception) else value
        for key, value in fields.items()
    }
    return CATALOGUE[code][LANGUAGES.index(lang)].format_map(said)


def told(error: Exception, lang: str) -> str:
    """What to tell a person of ``error``: its entry of the catalogue.

    What the operating system says is told by its number; what only a library says has no
    entry, and is told as it is.
    """
    code = getattr(error, "code", "")
    if isinstance(code, str) and code in CATALOGUE:
        return text(code, lang, **getattr(error, "fields", {}))
    if isinstance(error, OSError):
        code = _code_of(error)
        return text(code, lang) if code in CATALOGUE else error.strerror or str(error)
    return str(error)


def _code_of(error: OSError) -> str:
    """The code for what the operating system, a name server or TLS refused."""
    from socket import gaierror  # here, so that help is quick

    if isinstance(error, gaierror):
        return "name_unknown"
    if getattr(error, "library", None) == "SSL":
        return _CERTIFICATE.get(getattr(error, "verify_code", 0), "tls_failed")
    number = errno.ETIMEDOUT if isinstance(error, TimeoutError) else error.errno
    if number is None and isinstance(error, ConnectionError):
        number = errno.ECONNRESET
    return f"errno_{errno.errorcode.get(number or 0, '').lower()}"


_CERTIFICATE: Final = {
    9: "tls_not_yet_valid",
    10: "tls_expired",
    62: "tls_other_name",
    64: "tls_other_name",
    **dict.fromkeys((18, 19, 20, 21), "tls_not_trusted"),
}
"""Reasons of OpenSSL to refuse a certificate. Source: X509_verify_cert_error_string(3)."""


def language(chosen: str | None = None) -> str:
    """``en`` or ``zh``: what was chosen with ``--lang``, else what the environment says."""
    for wish in (chosen, *(os.environ.get(key) for key in ("LC_ALL", "LC_MESSAGES", "LANG"))):
        if wish:
            return "zh" if wish.lower().startswith("zh") else "en"
    return "en"
