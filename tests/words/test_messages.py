"""The catalogue: every code in both languages, and nothing said to people beside it."""

from __future__ import annotations

import ast
import errno
import pkgutil
import re
import socket
import ssl
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from string import Formatter

import pytest

from gateway import errors, messages
from gateway.cli.listening import why
from gateway.errors import GatewayError, Mistake
from gateway.health import reason_told
from gateway.messages import CATALOGUE, language, text, told
from gateway.publisher import Lost

ROOT = Path(__file__).parents[2]
ROOMS = [
    import_module(f"gateway.messages.{found.name}").TEXTS
    for found in pkgutil.iter_modules(messages.__path__)
]
TABLES = {
    Path(messages.__path__[0], f"{f.name}.py") for f in pkgutil.iter_modules(messages.__path__)
}
SOURCES = [
    path
    for folder in ("gateway", "drivers")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path not in TABLES
]
CODE_AT = {"Mistake": 0, "text": 0, "wrong": 0, "Phrase": 0, "in_words": 0, "note": 1, "add": 1}
"""Calls that take a code of the catalogue → at which position."""
FILLING = {"Mistake", "text", "in_words"}
"""Calls whose keywords are the fields."""
ERRORS = {
    name
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, GatewayError) and kind is not Mistake
}
ONLY_LOGGED = {
    "drivers/opcua/subscription.py": "a subscription lives in the agent, which logs",
    "gateway/intake.py": "the agent logs it, and goes on in memory",
    "gateway/journal/contents.py": "whoever asks for a replay is told by an event",
    "gateway/journal/log.py": "once it is open the agent logs, and goes on in memory",
    "gateway/journal/schemas.py": "the readers of the journal count what they cannot read",
    "gateway/link.py": "the link logs it, and connects again",
}
"""Where errors are raised that no person is told, and why that is so."""
LOGGED_METHODS = {"gateway/journal/journal.py": {"_claim", "_open", "open"}}
"""Files where only the named functions raise what a person is told."""
SENTENCE = re.compile(r"(?!bold )\b[A-Za-z]{2,},? [a-z]{2,}")
"""Two words in a row; a style of rich is none."""


def fields(message: str) -> set[str]:
    return {
        name.split("[")[0].split(".")[0] for _, name, _, _ in Formatter().parse(message) if name
    }


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def name_of(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def literals(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def codes_used(path: Path) -> set[str]:
    """String literals that stand where a code of the catalogue belongs."""
    found = set()
    for call in calls(ast.parse(path.read_text())):
        at = CODE_AT.get(name_of(call))
        arguments = call.args[at : at + 1] if at is not None else []
        if "cli" in path.parts:
            arguments += [keyword.value for keyword in call.keywords if keyword.arg == "help"]
        found |= {a.value for a in arguments if isinstance(a, ast.Constant)}
    return {code for code in found if isinstance(code, str)}


def prefixes(path: Path) -> set[str]:
    """How the codes begin that are put together: ``head_`` of ``f"head_{word}"``."""
    made = (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.JoinedStr))
    starts = (node.values[0] for node in made if node.values)
    words = (str(start.value) for start in starts if isinstance(start, ast.Constant))
    return {word for word in words if re.fullmatch(r"[a-z_]+_", word)}


def missing_fields(call: ast.Call) -> set[str]:
    """Fields of the message that ``call`` names, or of those it may name, but does not fill."""
    code, given = call.args[0], {keyword.arg for keyword in call.keywords}
    if None in given:
        return set()  # some are handed on: `**fields`
    if isinstance(code, ast.JoinedStr) and isinstance(code.values[0], ast.Constant):
        named = [known for known in CATALOGUE if known.startswith(str(code.values[0].value))]
    else:
        named = [code.value] if isinstance(code, ast.Constant) else []  # type: ignore[list-item]
    wanted = {field for known in named for field in fields(CATALOGUE[known][0])}
    return wanted - {str(name) for name in given}


def docstrings(tree: ast.AST) -> set[int]:
    """Lines where a string stands alone, as docstrings do."""
    alone = (node.value for node in ast.walk(tree) if isinstance(node, ast.Expr))
    return {node.lineno for node in alone if isinstance(node, ast.Constant)}


def untold(path: Path) -> list[int]:
    """Lines that make an error of ours without saying it to people."""
    tree = ast.parse(path.read_text())
    worded = {
        id(call.func.value)
        for call in calls(tree)
        if isinstance(call.func, ast.Attribute) and call.func.attr == "in_words"
    }
    told_in = LOGGED_METHODS.get(place(path))
    functions = (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef))
    parts = [tree] if told_in is None else [f for f in functions if f.name in told_in]
    made = [call for part in parts for call in calls(part) if name_of(call) in ERRORS]
    # An error that goes on as a value is worded by whoever made the call.
    returned = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Return)}
    return [c.lineno for c in made if id(c) not in worded | returned]


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


def test_no_code_stands_in_two_rooms() -> None:
    assert sum(len(room) for room in ROOMS) == len(CATALOGUE)


@pytest.mark.parametrize("path", SOURCES, ids=place)
def test_every_code_the_source_uses_is_in_the_catalogue(path: Path) -> None:
    assert codes_used(path) <= CATALOGUE.keys()


def test_every_code_of_the_catalogue_is_used() -> None:
    named = {word for path in SOURCES for word in literals(ast.parse(path.read_text()))}
    begun = tuple(prefix for path in SOURCES for prefix in prefixes(path))
    made = {code for code in CATALOGUE if code.startswith((*begun, "verb_"))}
    assert CATALOGUE.keys() - named - made == set()


@pytest.mark.parametrize("path", SOURCES, ids=place)
def test_every_error_that_reaches_people_is_told_by_the_catalogue(path: Path) -> None:
    if place(path) not in ONLY_LOGGED:
        assert untold(path) == []


@pytest.mark.parametrize("path", [ROOT / name for name in ONLY_LOGGED], ids=place)
def test_where_errors_are_only_logged_there_are_such_errors(path: Path) -> None:
    assert untold(path)


@pytest.mark.parametrize("path", [path for path in SOURCES if "cli" in path.parts], ids=place)
def test_the_command_line_holds_no_sentence_of_its_own(path: Path) -> None:
    tree = ast.parse(path.read_text())
    alone = docstrings(tree)
    found = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if node.lineno not in alone and SENTENCE.search(node.value)
    ]
    assert found == []


@pytest.mark.parametrize("path", SOURCES, ids=place)
def test_no_field_of_a_message_is_a_sentence(path: Path) -> None:
    for call in calls(ast.parse(path.read_text())):
        if name_of(call) in CODE_AT:
            given = [word for keyword in call.keywords for word in literals(keyword.value)]
            assert not [word for word in given if SENTENCE.search(word)]


@pytest.mark.parametrize("path", SOURCES, ids=place)
def test_every_message_is_given_the_fields_it_needs(path: Path) -> None:
    made = [c for c in calls(ast.parse(path.read_text())) if name_of(c) in FILLING and c.args]
    assert {c.lineno: missing_fields(c) for c in made if missing_fields(c)} == {}


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


def test_an_error_inside_a_message_is_told_in_the_language_of_the_message() -> None:
    disk = OSError(errno.ENOSPC, "No space left on device")
    error = GatewayError("/j: full").in_words("journal_disk", path="/j", reason=disk)
    assert told(error, "en") == "/j: the disk is full"
    assert told(error, "zh") == "/j：磁盘已满"


@pytest.mark.parametrize(
    ("error", "chinese"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), "权限不足"),
        (TimeoutError(), "超时无应答"),
        (ConnectionResetError("closed by the device"), "连接被对方断开"),
        (socket.gaierror(-2, "Name or service not known"), "无法解析该主机名"),
    ],
)
def test_what_the_system_refused_is_told_by_its_number(error: OSError, chinese: str) -> None:
    assert told(error, "zh") == chinese


def test_a_certificate_that_openssl_refuses_is_told_by_its_reason() -> None:
    expired = ssl.SSLCertVerificationError(1, "certificate verify failed")
    expired.library, expired.verify_code = "SSL", 10
    assert told(expired, "zh") == text("tls_expired", "zh")
    assert told(expired, "en") == text("tls_expired", "en")


@pytest.mark.parametrize(
    ("lost", "code"),
    [
        (Lost(0x87, "refused: Not authorized"), "broker_says_87"),
        (Lost(None, "no CONNACK"), "broker_cut"),
    ],
)
def test_what_the_broker_said_is_told_by_its_number(lost: Lost, code: str) -> None:
    assert why(lost, "zh") == text(code, "zh")


def test_a_reason_of_the_broker_without_words_is_told_by_its_number() -> None:
    assert "0xa2" in why(Lost(0xA2, "Wildcard subscriptions not supported"), "zh")


def test_reason_of_the_status_that_is_a_riddle_is_told_to_people_in_a_sentence() -> None:
    told_so = reason_told("alarm.no_receipts", "en")
    assert told_so == "alarm: the platform sends no receipts, so nothing of it is settled"
    assert "回执" in reason_told("receipt_denied", "zh")
    assert reason_told("storage_failed", "zh") == "storage_failed"
