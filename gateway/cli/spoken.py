"""click in the language of the person: help pages, and what is wrong with a command line.

Wherever click takes a help text, it is given a code of the catalogue. The language is
known before anything else: ``--lang`` is looked for on the whole command line.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from typing import IO, Any, Final, NoReturn

import click

from gateway.messages import LANGUAGES, language, text

WIDTH: Final = 80
"""Columns of a help page."""
_LEFT: Final = 34
"""Columns that the names of options may take, at most."""
_WORDS: Final = re.compile(
    r"[\u3000-\uffef][，。；：、！？）”]*|[^\s\u3000-\uffef]+[，。；：、）”]*|\s+"
)

Row = tuple[str, str]
"""What it is called, and what it means."""


def lang_of(context: click.Context | None) -> str:
    """The language that was chosen for this command line."""
    chosen = None if context is None else context.find_root().obj
    return chosen if chosen in LANGUAGES else language()


class Misuse(click.UsageError):
    """A command line that cannot be used, told by a code of the catalogue."""

    def __init__(self, told: str, context: click.Context) -> None:
        super().__init__(told, context)
        self.context = context

    def show(self, file: IO[Any] | None = None) -> None:
        """The usage, where to read more, and what is wrong; on stderr."""
        lang = lang_of(self.context)
        click.echo(self.context.get_usage(), file, err=True)
        path = self.context.command_path
        click.echo(text("usage_try", lang, command=path), file, err=True)
        error = text("severity_error", lang)
        click.echo(f"\n{error}: {self.message}", file, err=True)


class OneOf(click.Choice[str]):
    """One of a few words."""

    def get_invalid_choice_message(self, value: object, ctx: click.Context | None) -> str:
        """See `click.Choice`."""
        return text("usage_choice", lang_of(ctx), value=value, allowed=", ".join(self.choices))


class Number(click.ParamType[float]):
    """A number from ``low`` to ``high``; ``is_open``: above ``low``."""

    name = "number"

    def __init__(self, low: float, high: float, *, is_open: bool = False) -> None:
        self._low = low
        self._high = high
        self._is_open = is_open

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """See `click.ParamType`."""
        lang = lang_of(ctx)
        try:
            number = float(value)
        except ValueError:
            self.fail(text("usage_number", lang, value=value), param, ctx)
        is_low = number <= self._low if self._is_open else number < self._low
        if is_low or not number <= self._high:
            code = "usage_above" if self._is_open else "usage_range"
            limits = {"low": f"{self._low:.10g}", "high": f"{self._high:.10g}"}
            self.fail(text(code, lang, value=value, **limits), param, ctx)
        return number


class _Spoken(click.Command):
    """A command whose help, and whose options' and arguments' help, are codes."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """See `click.Command`; the context of the whole command line holds its language."""
        if parent is None:
            extra.setdefault("obj", language(_wish(args)))
        return super().make_context(info_name, args, parent, **extra)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See `click.Command`; raises `Misuse` where that raises other errors of usage."""
        try:
            return super().parse_args(ctx, args)
        except (Misuse, click.exceptions.NoArgsIsHelpError):
            raise
        except click.UsageError as error:
            raise Misuse(_told(error, ctx), ctx) from error

    def get_usage(self, ctx: click.Context) -> str:
        """One line: how it is called."""
        line = " ".join([ctx.command_path, *self.collect_usage_pieces(ctx)])
        return text("page_usage", lang_of(ctx), line=line)

    def get_help(self, ctx: click.Context) -> str:
        """The whole help page."""
        lang = lang_of(ctx)
        body = text(self.help or "", lang).splitlines()
        lines = [self.get_usage(ctx), "", *(f"  {line}".rstrip() for line in body)]
        for title, rows in self.sections(ctx):
            if rows:
                lines += ["", text(title, lang), *_columns(rows)]
        return "\n".join(lines)

    def sections(self, ctx: click.Context) -> Iterator[tuple[str, list[Row]]]:
        """What stands below the text: a title's code, and its rows."""
        params = self.get_params(ctx)
        arguments = [p for p in params if isinstance(p, click.Argument)]
        options = [p for p in params if isinstance(p, click.Option)]
        yield "page_arguments", [_argument_row(argument, ctx) for argument in arguments]
        yield "page_options", [_option_row(option, ctx) for option in options]


class Verb(_Spoken):
    """One verb."""

    allow_extra_args = True  # so that `parse_args` is the one to refuse them

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See `click.Command`."""
        rest = super().parse_args(ctx, args)
        if rest:
            words = " ".join(rest)
            raise Misuse(text("usage_extra", lang_of(ctx), words=words), ctx)
        return rest

    def invoke(self, ctx: click.Context) -> Any:
        """See `click.Command`; Ctrl-C where the verb does not wait for it ends it."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            interrupted(lang_of(ctx))


class Verbs(_Spoken, click.Group):
    """Several verbs; the code ``verb_`` and its path says what one does, in a line."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """See `click.Group`."""
        known = self.list_commands(ctx)
        if args[0] not in known:
            told = text("usage_no_verb", lang_of(ctx), name=args[0])
            raise Misuse(_guessing(told, args[0], known, ctx), ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """See `click.Group`; without a verb, the help page is the answer."""
        try:
            return super().invoke(ctx)
        except (Misuse, click.exceptions.NoArgsIsHelpError):
            raise
        except click.UsageError as error:
            raise click.exceptions.NoArgsIsHelpError(ctx) from error

    def sections(self, ctx: click.Context) -> Iterator[tuple[str, list[Row]]]:
        """The verbs before the options."""
        lang, prefix = lang_of(ctx), (self.help or "").replace("help", "verb", 1)
        names = self.list_commands(ctx)
        yield "page_verbs", [(name, text(f"{prefix}_{name}", lang)) for name in names]
        yield from super().sections(ctx)


def interrupted(lang: str) -> NoReturn:
    """End after Ctrl-C."""
    click.echo(text("interrupted", lang), err=True)
    sys.exit(130)


def _wish(args: Sequence[str]) -> str | None:
    """The last language that ``--lang`` names before a ``--``."""
    words = args[: args.index("--")] if "--" in args else args
    named = re.findall(r"--lang[= ](\S+)", " ".join(words))
    return next((word for word in reversed(named) if word in LANGUAGES), None)


def _told(error: click.UsageError, ctx: click.Context) -> str:
    """What a person is told in the place of ``error``."""
    lang = lang_of(ctx)
    if isinstance(error, click.NoSuchOption):
        known = [name for param in ctx.command.get_params(ctx) for name in param.opts]
        told = text("usage_no_option", lang, name=error.option_name)
        return _guessing(told, error.option_name, known, ctx)
    if isinstance(error, click.BadOptionUsage):
        params = ctx.command.get_params(ctx)
        named = [param for param in params if error.option_name in param.opts]
        is_flag = any(isinstance(param, click.Option) and param.is_flag for param in named)
        code = "usage_takes_no_value" if is_flag else "usage_needs_value"
        return text(code, lang, name=error.option_name)
    if isinstance(error, click.BadParameter) and error.param is not None:
        is_option = isinstance(error.param, click.Option)
        name = "/".join(error.param.opts) if is_option else error.param.make_metavar(ctx)
        if isinstance(error, click.MissingParameter):
            return text("usage_missing", lang, name=name)
        return text("usage_value", lang, name=name, why=error.message)
    return error.format_message()


def _guessing(told: str, word: str, known: Sequence[str], ctx: click.Context) -> str:
    """``told``, with the word that was probably meant."""
    import difflib

    near = difflib.get_close_matches(word, known, n=1)
    return text("did_you_mean", lang_of(ctx), told=told, word=near[0]) if near else told


def _argument_row(argument: click.Argument, ctx: click.Context) -> Row:
    return argument.make_metavar(ctx), text(argument.help or "", lang_of(ctx))


def _option_row(option: click.Option, ctx: click.Context) -> Row:
    lang = lang_of(ctx)
    names = ", ".join(option.opts)
    is_help = option is ctx.command.get_help_option(ctx)
    told = text("option_help" if is_help else option.help or "", lang)
    if option.multiple:
        told = text("page_repeatable", lang, told=told)
    if option.show_default:
        told = text("page_default", lang, told=told, value=option.default)
    return (names if option.is_flag else f"{names} {option.make_metavar(ctx)}"), told


def _columns(rows: Sequence[Row]) -> Iterator[str]:
    """``rows`` as two columns, the right one in lines that fit."""
    left = min(_LEFT, max(len(name) for name, _ in rows))
    for name, told in rows:
        first, *more = wrapped(told, WIDTH - left - 4)
        if len(name) > left:
            yield f"  {name}"
            name = ""
        yield f"  {name:<{left}}  {first}"
        for line in more:
            yield " " * (left + 4) + line


def wrapped(told: str, width: int) -> list[str]:
    """``told`` in lines of at most ``width`` columns; Chinese may break at any character."""
    lines = [""]
    for word in _WORDS.findall(told):
        if columns(lines[-1] + word.rstrip()) > width and lines[-1]:
            lines.append("")
        lines[-1] += word if lines[-1] else word.lstrip()
    return [line.rstrip() for line in lines]


def columns(words: str) -> int:
    """How many columns ``words`` take on a terminal; Chinese characters take two."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in words)
