"""Which drivers there are; a driver is found by its word in the configuration.

``driver: NAME`` is ``drivers.NAME.DRIVER``, or the entry point NAME of the group
``tidegate.drivers``. A driver that nobody names is never imported.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from gateway.driver import Driver
from gateway.errors import Mistake

GROUP: Final = "tidegate.drivers"


@cache
def installed() -> tuple[str, ...]:
    """The words that can stand after ``driver:``, in alphabetical order."""
    return tuple(sorted({*_shipped(), *_plugged_in()}))


@cache
def driver(word: str) -> type[Driver[Any]]:
    """The driver called ``word``.

    Raises:
        Mistake: There is none, or it cannot be loaded.
    """
    if word not in _shipped() and word not in _plugged_in():
        listed = ", ".join(installed()) or "-"
        raise Mistake("unknown_driver", path=("driver",), driver=word, installed=listed)
    try:
        if word in _shipped():
            found = importlib.import_module(f"drivers.{word}").DRIVER
        else:
            found = _plugged_in()[word].load()
    except (ImportError, AttributeError) as error:
        raise Mistake("broken_driver", path=("driver",), driver=word, reason=error) from error
    if not (isinstance(found, type) and issubclass(found, Driver)):
        raise Mistake("driver_without_class", path=("driver",), driver=word)
    return found


@cache
def _shipped() -> frozenset[str]:
    try:
        package = importlib.import_module("drivers")
    except ModuleNotFoundError:
        return frozenset()
    modules = pkgutil.iter_modules(package.__path__)
    return frozenset(module.name for module in modules if not module.name.startswith("_"))


@cache
def _plugged_in() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}
