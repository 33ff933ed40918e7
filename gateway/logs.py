"""Logs to stderr, in the form of whoever reads them.

Under systemd (stderr is the journal's socket) each line carries its priority and no time,
because journald adds its own; on a terminal, lines for eyes; otherwise JSON or logfmt.
Events are fixed phrases, variables are fields: one line when a thing is lost, one when it
is back. An ``excerpt`` of a file stands below the line, as it was written.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor

Format = Literal["journal", "json", "console"]
_PRIORITY = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
_LIBRARIES = ("pymodbus.logging", "asyncua", "paho", "asyncio")


def configure(
    level: str = "info", form: Format | None = None, stream: TextIO | None = None
) -> None:
    """Send every log line of this process to ``stream`` (stderr), ours and the libraries'."""
    stream = stream or sys.stderr
    form = form or form_for(stream)
    chain: list[Processor] = [structlog.contextvars.merge_contextvars, _one_word_keys]
    chain += [structlog.processors.add_log_level, structlog.processors.format_exc_info]
    structlog.configure(
        processors=[*chain, *_renderers(form)],
        wrapper_class=structlog.make_filtering_bound_logger(_number(level)),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=chain,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(form),
            ],
        )
    )
    root = logging.root
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.ERROR)  # noqa: TID251 - the libraries' own


def form_for(stream: TextIO) -> Format:
    """How lines to ``stream`` should look."""
    if _is_journal(stream):
        return "journal"
    return "console" if stream.isatty() else "json"


def _is_journal(stream: TextIO) -> bool:
    """Whether ``stream`` is the socket systemd names in ``JOURNAL_STREAM`` (device:inode)."""
    named = os.environ.get("JOURNAL_STREAM", "")
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return named == f"{status.st_dev}:{status.st_ino}"


def _renderers(form: Format) -> list[Processor]:
    if form == "journal":
        return [_with_priority]
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    if form == "json":
        return [stamp, structlog.processors.JSONRenderer(ensure_ascii=False)]
    colors = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    return [stamp, _with_excerpt(structlog.dev.ConsoleRenderer(colors=colors))]


def _with_excerpt(render: Processor) -> Processor:
    """``render``, and the lines of a file below its own."""

    def both(logger: Any, name: str, event: EventDict) -> str:
        excerpt = event.pop("excerpt", "")
        return "\n".join([str(render(logger, name, event)), *excerpt.splitlines()])

    return both


def _with_priority(_: Any, __: str, event: EventDict) -> str:
    """``<4>link down link=line-1``; lines of a traceback or a file get a prefix each."""
    level = event.pop("level", "info")
    trace = event.pop("exception", None) or event.pop("excerpt", None)
    text = str(event.pop("event", ""))
    line = " ".join([text, *(f"{key}={_logfmt(value)}" for key, value in event.items())])
    lines = [line, *(trace.splitlines() if trace else ())]
    return "\n".join(f"<{_PRIORITY.get(level, 6)}>{one}" for one in lines)


def _logfmt(value: object) -> str:
    text = str(value).replace("\n", "\\n")
    return f'"{text}"' if " " in text or not text else text


def _one_word_keys(_: Any, __: str, event: EventDict) -> EventDict:
    """A log line must never kill a poller, whatever its keys are."""
    for key in [key for key in event if " " in key]:
        event[key.replace(" ", "_")] = event.pop(key)
    return event


def _number(level: str) -> int:
    return {"debug": 10, "info": 20, "warning": 30, "error": 40}[level]
