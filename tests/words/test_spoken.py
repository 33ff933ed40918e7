"""The command line in both languages: help pages, and what is wrong with a command line."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.cli.check import command as check
from gateway.cli.spoken import WIDTH, Misuse, Verbs, columns, wrapped
from gateway.messages import CATALOGUE, LANGUAGES, text

SENTENCE = re.compile(r"[A-Za-z]{2,}( [a-z]{2,}){2,}")
CHINESE = re.compile(r"[\u4e00-\u9fff]")


def verbs(group: Verbs, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every way to a help page."""
    yield path
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, Verbs):
            yield from verbs(command, (*path, name))
        else:
            yield *path, name


VERBS = list(verbs(main))
MISUSES = {
    ("chekc",): "usage_no_verb",
    ("journal", "stats"): "usage_no_verb",
    ("check", "--confg", "x"): "usage_no_option",
    ("--nothing",): "usage_no_option",
    ("check", "x"): "usage_extra",
    ("version", "x", "y"): "usage_extra",
    ("check", "--config"): "usage_needs_value",
    ("tap", "--check=1"): "usage_takes_no_value",
    ("check", "--format", "xml"): "usage_choice",
    ("schema", "--format", "xml"): "usage_choice",
    ("check", "--lang", "fr"): "usage_choice",
    ("plan", "--round-trip", "soon"): "usage_number",
    ("plan", "--round-trip", "0"): "usage_range",
    ("demo", "--seconds", "0"): "usage_above",
    ("demo", "--seconds", "nan"): "usage_above",
    ("journal", "export", "--since", "noon"): "usage_time",
    ("journal", "export", "--lane", "fast"): "usage_choice",
}


def run(*arguments: str, **environment: str) -> Result:
    clean = dict.fromkeys(("LC_ALL", "LC_MESSAGES", "LANG"), "")
    return CliRunner(env={**clean, **environment}).invoke(main, arguments, prog_name="tidegate")


def beginning(code: str, lang: str) -> str:
    """The words of an entry before its first field, or behind its last."""
    parts = re.split(r"\{\w+\}", CATALOGUE[code][LANGUAGES.index(lang)])
    return max(parts, key=len)


def without_code(line: str) -> str:
    """``line`` without what is the same in every language."""
    return re.sub(r"`[^`]*`|^\s*tidegate [ -~]*|\[[^\]]*\]|'[^']*'", "", line)


@pytest.mark.parametrize("path", VERBS, ids=" ".join)
def test_a_help_page_in_chinese_holds_no_english_sentence(path: tuple[str, ...]) -> None:
    page = run(*path, "--help", "--lang", "zh").output
    usage, *lines = page.splitlines()
    assert usage.startswith("用法：tidegate")
    assert not [line for line in lines if SENTENCE.search(without_code(line))]
    assert not re.search(r"Usage|Options:|Arguments|Verbs|default:|Show", page)


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("path", VERBS, ids=" ".join)
def test_a_help_page_fits_a_terminal(path: tuple[str, ...], lang: str) -> None:
    page = run(*path, "--help", "--lang", lang).output
    assert not [line for line in page.splitlines() if columns(line) > WIDTH]


@pytest.mark.parametrize("path", VERBS, ids=" ".join)
def test_a_help_page_shows_an_example(path: tuple[str, ...]) -> None:
    assert re.search(r"Examples?:\n    tidegate ", run(*path, "--help", "--lang", "en").output)


def examples() -> Iterator[str]:
    for code, entry in CATALOGUE.items():
        if code == "help" or code.startswith("help_"):
            for line in "\n".join(entry).splitlines():
                if line.startswith("  tidegate "):
                    yield re.split(r"\s{2,}|\s[|>]", line.strip())[0]


@pytest.mark.parametrize("example", sorted(set(examples())))
def test_every_example_of_a_help_page_is_a_command_line_that_is_understood(
    example: str,
) -> None:
    words = shlex.split(example)[1:]
    command: click.Command = main
    context = click.Context(main, info_name="tidegate")
    while isinstance(command, Verbs):
        name, found, words = command.resolve_command(context, words)
        assert found is not None
        command, context = found, click.Context(found, context, info_name=name)
    command.make_context(context.info_name, words, parent=context.parent)


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("arguments", MISUSES, ids=" ".join)
def test_a_wrong_command_line_is_told_in_the_language_of_the_person(
    arguments: tuple[str, ...], lang: str
) -> None:
    told = run("--lang", lang, *arguments)
    assert told.exit_code == 2
    assert beginning(MISUSES[arguments], lang) in told.output
    if lang == "zh":
        lines = told.output.splitlines()[1:]
        assert not [line for line in lines if SENTENCE.search(without_code(line))]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--lang", "zh", "check", "x"),
        ("check", "--lang", "zh", "x"),
        ("check", "x", "--lang=zh"),
        ("--lang", "en", "check", "--lang", "zh", "x"),
        ("journal", "--lang", "zh", "stat", "x"),
    ],
    ids=" ".join,
)
def test_the_language_may_be_chosen_anywhere(arguments: tuple[str, ...]) -> None:
    assert "用法" in run(*arguments, LANG="en_US.UTF-8").output


def test_the_language_of_the_environment_is_spoken_without_a_choice() -> None:
    assert "用法" in run("check", "x", LANG="zh_CN.UTF-8").output
    assert "Usage" in run("check", "x", LANG="zh_CN.UTF-8", LC_ALL="C").output


def test_what_follows_two_dashes_chooses_no_language() -> None:
    assert "Usage" in run("check", "--", "--lang", "zh").output


def test_a_near_word_is_suggested() -> None:
    assert "did you mean `check`?" in run("chekc").output
    assert "did you mean `--config`?" in run("check", "--confg", "x").output


def test_without_a_verb_the_help_page_is_shown_and_the_exit_code_is_2() -> None:
    for arguments in ((), ("--lang", "en"), ("journal",), ("journal", "--lang", "en")):
        shown = run(*arguments)
        assert shown.exit_code == 2
        assert "Verbs:" in shown.output


def test_every_line_for_a_verb_belongs_to_a_verb() -> None:
    lines = {code for code in CATALOGUE if code.startswith("verb_")}
    assert lines == {"_".join(("verb", *path)) for path in (*VERBS, ("journal",)) if path}


def test_the_help_page_comes_without_what_only_a_running_verb_needs() -> None:
    code = (
        "import sys; from gateway.cli import main; main(['--help'], standalone_mode=False);"
        "print([name for name in ('asyncio', 'socket', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.splitlines()[-1] == b"[]"


def test_ctrl_c_ends_a_verb_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(check, "callback", interrupt)
    ended = run("check", "--lang", "zh")
    assert (ended.exit_code, ended.output.strip()) == (130, text("interrupted", "zh"))


def test_an_error_of_usage_is_always_one_of_ours() -> None:
    with pytest.raises(Misuse):
        main.main(["check", "--nothing"], standalone_mode=False)


def test_chinese_is_broken_at_any_character_and_never_before_a_stop() -> None:
    assert wrapped("一二三四，五六", 8) == ["一二三", "四，五六"]
    assert wrapped("one two three", 8) == ["one two", "three"]
