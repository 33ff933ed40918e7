"""The keys a model has, and the one a person probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel

from gateway.loader.yaml_tree import full_width


def near(word: object, known: Iterable[str]) -> str | None:
    """The known word that was probably meant."""
    close = difflib.get_close_matches(str(word), list(known), n=1, cutoff=0.6)
    return close[0] if close else None


def words(model: type[BaseModel]) -> list[str]:
    """The keys a person may write for ``model``."""
    return [field.alias or name for name, field in model.model_fields.items()]


def meant(key: object, model: type[BaseModel], node: Mapping[Any, Any]) -> str | None:
    """The key of ``model`` that ``key`` was probably meant to be; ``node`` lacks it."""
    char = full_width(str(key))
    word = key if char is None else str(key).partition(char)[0].strip()
    return near(word, [known for known in words(model) if known not in node])


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models an annotation mentions, at any depth."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from models_in(part)
