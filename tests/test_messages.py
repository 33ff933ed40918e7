"""The catalogue: every code in both languages, and every code the source uses."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from string import Formatter

import pytest

from gateway import messages
from gateway.errors import GatewayError
from gateway.messages import CATALOGUE, language, text, told

ROOT = Path(__file__).parents[1]
SECTIONS = [
    section
    for name, section in vars(messages).items()
    if name.isupper() and isinstance(section, dict) and name != "CATALOGUE"
]
SOURCES = [path for folder in ("gateway", "drivers") for path in (ROOT / folder).rglob("*.py")]
FIRST_ARGUMENT = {"Mistake", "text", "wrong", "Phrase"}
SECOND_ARGUMENT = {"note"}


def fields(message: str) -> set[str]:
    return {
        name.split("[")[0].split(".")[0] for _, name, _, _ in Formatter().parse(message) if name
    }


def codes_used(path: Path) -> set[str]:
    """String literals that stand where a code of the catalogue belongs."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        name = (
            node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        )
        position = 0 if name in FIRST_ARGUMENT else 1 if name in SECOND_ARGUMENT else None
        if position is None or len(node.args) <= position:
            continue
        argument = node.args[position]
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            found.add(argument.value)
    return found


@pytest.mark.parametrize("code", CATALOGUE)
def test_both_languages_of_a_message_use_the_same_fields(code: str) -> None:
    english, chinese = CATALOGUE[code]
    assert english
    assert chinese
    assert fields(english) == fields(chinese)


@pytest.mark.parametrize("code", CATALOGUE)
def test_a_message_in_chinese_is_chinese(code: str) -> None:
    english, chinese = CATALOGUE[code]
    bare = re.sub(r"\{[^}]*\}|`[^`]*`", "", english)
    assert not re.search(r"[A-Za-z]{3}", bare) or re.search(r"[\u4e00-\u9fff]", chinese)


def test_no_code_stands_in_two_sections() -> None:
    assert sum(len(section) for section in SECTIONS) == len(CATALOGUE)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_code_the_source_uses_is_in_the_catalogue(path: Path) -> None:
    assert codes_used(path) <= CATALOGUE.keys()


def test_codes_of_the_configuration_are_all_used() -> None:
    sources = "".join(path.read_text() for path in SOURCES if path.name != "messages.py")
    unused = {code for code in messages.CONFIG if f'"{code}"' not in sources}
    dynamic = {code for code in unused if code.startswith("severity_")}
    assert unused == dynamic


def test_a_message_is_filled_in_the_language_asked_for() -> None:
    assert text("missing_key", "en", key="address") == "`address` is missing"
    assert text("missing_key", "zh", key="address") == "缺少“address”"


@pytest.mark.parametrize(
    ("chosen", "environment", "expected"),
    [
        (None, {"LANG": "zh_CN.UTF-8"}, "zh"),
        (None, {"LANG": "C.UTF-8"}, "en"),
        (None, {"LANG": "en_US.UTF-8", "LC_ALL": "zh_CN"}, "zh"),
        ("en", {"LANG": "zh_CN.UTF-8"}, "en"),
        ("zh", {}, "zh"),
        (None, {}, "en"),
    ],
)
def test_the_language_is_the_one_chosen_or_that_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
    chosen: str | None,
    environment: dict[str, str],
    expected: str,
) -> None:
    for key in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(key, raising=False)
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    assert language(chosen) == expected


def test_an_error_with_a_code_is_told_in_both_languages_and_logged_in_its_own_text() -> None:
    error = GatewayError("tcp://h:502: refused").in_words("connect_refused", peer="tcp://h:502")
    assert str(error) == "tcp://h:502: refused"
    assert told(error, "en") == "tcp://h:502: the connection was refused"
    assert told(error, "zh") == "tcp://h:502：连接被拒绝"
    assert told(GatewayError("as it is"), "zh") == "as it is"
