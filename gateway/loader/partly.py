"""An object of a file with mistakes, as far as it is right.

Rules over several keys (`Model.clashes`) and `Driver.address` read it as they read the whole
object. Reading a key that is wrong, missing or perhaps misspelt raises `Unknown`: what depends
on it is not judged, so that no mistake brings forth another, and all the rest is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache, cached_property
from typing import Any, TypeAlias

from pydantic import BaseModel, ValidationError, create_model
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from gateway.config import OWN
from gateway.loader.keys import meant, models_in
from gateway.loader.problem import Path
from gateway.loader.yaml_tree import Map, Seq
from gateway.notation import Model


class Unknown(Exception):
    """What stands in the file cannot be told before a person has corrected it."""


class Partly:
    """What is right in ``node``, read like a ``kind``; ``outer`` passes its keys inwards."""

    def __init__(self, kind: type[BaseModel], node: Map, outer: Settings | None = None) -> None:
        self._kind = kind
        self._node = node
        self._outer = outer

    def __getattr__(self, name: str) -> Any:
        """The value of a key; asked once, then an attribute like any other.

        Raises:
            Unknown: It is wrong, missing or perhaps misspelt, or no key at all.
        """
        if name not in self._kind.model_fields:
            raise Unknown(name)
        value = self.__dict__[name] = self._value(name)
        return value

    @cached_property
    def model_fields_set(self) -> set[str]:
        """The keys that are written here, or that ``outer`` passes in."""
        passed = set() if self._outer is None else self._outer.model_fields_set - OWN
        own = {name for name in self._kind.model_fields if self._key(name) in self._node}
        return own | self._misspelt | (passed & self._kind.model_fields.keys())

    def model_copy(self, *, update: Mapping[str, Any]) -> Partly:
        """The same with other values."""
        twin = Partly(self._kind, self._node, self._outer)
        twin.__dict__.update({**self.__dict__, **update})
        return twin

    def has(self, name: str) -> bool:
        """Whether the key has a value, be it right or wrong."""
        key = self._key(name)
        return (self._node[key] if key in self._node else getattr(self, name)) is not None

    @property
    def fields(self) -> Mapping[str, FieldInfo]:
        """The keys it may have."""
        return self._kind.model_fields

    def knows(self, name: str) -> bool:
        """Whether the value of the key can be read."""
        try:
            getattr(self, name)
        except Unknown:
            return False
        return True

    def each(self, name: str) -> Iterator[tuple[int, Any]]:
        """Position and value of every item under the key that is right."""
        items = self._node.get(self._key(name))
        for position, item in enumerate(items if isinstance(items, Seq) else ()):
            with suppress(ValidationError):
                yield position, self._alone(name, [item])[0]

    @cached_property
    def _misspelt(self) -> set[str]:
        """The keys that unknown ones were probably meant to be."""
        names = {self._key(name): name for name in self._kind.model_fields}
        guesses = (meant(k, self._kind, self._node) for k in self._node.keys() - names.keys())
        return {names[guess] for guess in guesses if guess is not None}

    def _key(self, name: str) -> str:
        return self._kind.model_fields[name].alias or name

    def _value(self, name: str) -> Any:
        field, outer = self._kind.model_fields[name], self._outer
        if self._key(name) in self._node:
            return self._written(name, self._node[self._key(name)])
        if name in self._misspelt:
            raise Unknown(name)
        default = field.get_default(call_default_factory=True, validated_data={})
        if name not in OWN and _passes(outer, name, default):
            return getattr(outer, name)
        if field.is_required():
            raise Unknown(name)
        return default

    def _written(self, name: str, value: Any) -> Any:
        try:
            return self._alone(name, value)
        except ValidationError:
            inner = next(models_in(self._kind.model_fields[name].annotation), None)
            if inner is not None and isinstance(value, Map):
                return Partly(inner, value)
            raise Unknown(name) from None

    def _alone(self, name: str, value: Any) -> Any:
        return getattr(_only(self._kind, name).model_validate({self._key(name): value}), name)


Settings: TypeAlias = Model | Partly
"""What a file says about one object: whole, or as far as it is right."""


def _passes(outer: Settings | None, name: str, default: object) -> bool:
    """Whether ``outer`` passes the key inwards, as `gateway.config.passed_down` has it."""
    if outer is None:
        return False
    fields = outer.fields if isinstance(outer, Partly) else type(outer).model_fields
    if name not in fields:
        return False
    return default is None or name in outer.model_fields_set


def clashes_in(kind: type[BaseModel], node: Map) -> Iterator[tuple[Path, PydanticCustomError]]:
    """Each clash between the keys of ``node`` that are right, and of what lies in it.

    The path leads from ``node`` to the key at fault.
    """
    found = Partly(kind, node)
    for clash in kind.clashes if issubclass(kind, Model) else ():
        with suppress(Unknown):
            for fault in clash(found):
                yield (fault.context or {})["at"], fault
    for name, field in kind.model_fields.items():
        key = field.alias or name
        inner = next(models_in(field.annotation), None)
        if inner is not None and isinstance(node.get(key), Map):
            for path, fault in clashes_in(inner, node[key]):
                yield (key, *path), fault


@cache
def _only(kind: type[BaseModel], name: str) -> type[BaseModel]:
    """``kind`` with one of its keys."""
    field = kind.model_fields[name]
    keys: dict[str, Any] = {name: (field.annotation, field)}
    return create_model(kind.__name__, __config__=kind.model_config, **keys)
