"""Where a secret lies; reading it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from gateway.errors import ConfigError
from gateway.notation import Model, Name, wrong


def _no_inline_secret(written: object) -> object:
    if not isinstance(written, Mapping | Secret):
        raise wrong("secret_inline")
    return written


class Secret(Model):
    """Where a secret lies; the secret itself is never in the configuration."""

    credential: Name | None = None
    """Name of a systemd credential (`LoadCredential=`)."""
    file: str | None = None
    """Path of a file that holds the secret."""

    def _one_source(self) -> Iterator[PydanticCustomError]:
        if self.has("credential") == self.has("file"):
            yield wrong("secret_source")

    clashes = (_one_source,)

    def path(self) -> Path:
        """The file to read.

        Raises:
            ConfigError: A credential is named, and systemd handed in none.
        """
        if self.file is not None:
            return Path(self.file)
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        if not folder:
            raise ConfigError(
                f"credential {self.credential}: CREDENTIALS_DIRECTORY is not set"
            ).in_words("secret_no_credentials", name=self.credential)
        return Path(folder, self.credential or "")

    def read(self) -> str:
        """The secret, without the line end an editor leaves behind.

        Raises:
            ConfigError: It cannot be read; the message names the path.
        """
        path = self.path()
        try:
            return path.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"secret {path}: {error}").in_words(
                "secret_unreadable", file=path, reason=error
            ) from error


SecretRef: TypeAlias = Annotated[Secret, BeforeValidator(_no_inline_secret)]
