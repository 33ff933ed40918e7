"""``tidegate check`` as a person at the plant sees it, mistake by mistake.

Each ``scenarios/config/NAME.yaml`` (or ``NAME/gateway.yaml`` with its ``conf.d``) is a
file as someone wrote it on site; ``NAME.en.txt`` and ``NAME.zh.txt`` are what they are
told. ``python -m tests.test_check`` writes the texts anew; read the difference.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli.check import command
from gateway.cli.schema import command as schema_command
from gateway.messages import LANGUAGES

ROOT = Path(__file__).parents[1]
SCENARIOS = ROOT / "tests" / "scenarios" / "config"
FILES = sorted(
    file.relative_to(SCENARIOS)
    for file in (*SCENARIOS.glob("*.yaml"), *SCENARIOS.glob("*/gateway.yaml"))
)


def name_of(file: Path) -> str:
    return file.parent.name or file.stem


def told(file: Path, lang: str) -> tuple[int, str]:
    """Exit code and everything printed; run from the folder of the scenarios."""
    result = CliRunner().invoke(command, ["-c", str(file), "--lang", lang])
    return result.exit_code, result.output


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_a_person_is_told_what_is_wrong_and_what_to_do(
    file: Path, lang: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(SCENARIOS)
    _, output = told(file, lang)
    assert output == (SCENARIOS / f"{name_of(file)}.{lang}.txt").read_text()


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_the_exit_code_is_78_unless_there_are_only_warnings(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(SCENARIOS)
    code, output = told(file, "en")
    assert code == (78 if ": error: " in output else 0)


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_no_secret_and_no_library_is_heard(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(SCENARIOS)
    _, output = told(file, "en")
    for word in ("hunter2", "pydantic", "Input should", "Traceback", "libyaml"):
        assert word not in output


def test_the_shipped_example_is_good() -> None:
    result = CliRunner().invoke(command, ["-c", str(ROOT / "config/gateway.example.yaml")])
    assert (result.exit_code, result.output.count("\n")) == (0, 1)
    assert "links 2, devices 2" in result.output


def test_json_tells_programs_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(SCENARIOS)
    arguments = ["-c", "unknown_key.yaml", "--format", "json", "--lang", "en"]
    result = CliRunner().invoke(command, arguments)
    (problem,) = json.loads(result.stdout)["problems"]
    assert result.exit_code == 78
    assert problem == {
        "file": "unknown_key.yaml",
        "line": 12,
        "column": 27,
        "severity": "error",
        "code": "unknown_key",
        "path": "links[0].devices[0].tags[0].adress",
        "message": "unknown key `adress`; did you mean `address`?",
        "suggestion": "address",
    }


def test_json_of_a_good_file_counts_what_is_in_it() -> None:
    file = ROOT / "config/gateway.example.yaml"
    result = CliRunner().invoke(command, ["-c", str(file), "--format", "json"])
    report = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (report["good"], report["links"], report["devices"]) == (True, 2, 2)
    assert report["problems"] == []


def test_a_missing_file_is_a_mistake_like_any_other(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, ["-c", str(tmp_path / "none.yaml"), "--lang", "en"])
    assert result.exit_code == 78
    assert "there is no such file" in result.output


@pytest.mark.parametrize("module", ["gateway.cli.check", "gateway.cli.schema"])
def test_help_imports_neither_pydantic_nor_yaml(module: str) -> None:
    code = (
        f"import sys, click.testing, {module} as m\n"
        "click.testing.CliRunner().invoke(m.command, ['--help'])\n"
        "print([name for name in ('pydantic', 'yaml', 'rich') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_schema_prints_what_is_checked_in() -> None:
    result = CliRunner().invoke(schema_command, [])
    assert json.loads(result.stdout) == json.loads(
        (ROOT / "config/gateway.schema.json").read_text()
    )


def _write() -> None:
    os.chdir(SCENARIOS)
    for file in FILES:
        for lang in LANGUAGES:
            Path(f"{name_of(file)}.{lang}.txt").write_text(told(file, lang)[1])


if __name__ == "__main__":
    _write()
