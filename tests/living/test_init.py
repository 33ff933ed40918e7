"""``tidegate init``: a file that is right from the start."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.loader import inspect
from gateway.messages import LANGUAGES


def init(out: Path, *more: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["init", "--out", str(out), *more])
    return done.exit_code, done.output


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_starter_file_is_without_mistakes_and_doubts(tmp_path: Path, lang: str) -> None:
    code, told = init(tmp_path / "gateway.yaml", "--lang", lang)
    site, problems = inspect(tmp_path / "gateway.yaml")
    assert (code, problems) == (0, [])
    assert site is not None
    assert len(site.links[0].tags) == 3
    assert f"tidegate check -c {tmp_path / 'gateway.yaml'}" in told


@pytest.mark.parametrize("lang", LANGUAGES)
def test_what_is_commented_out_in_the_starter_file_is_right_too(
    tmp_path: Path, lang: str
) -> None:
    out = tmp_path / "gateway.yaml"
    init(out, "--lang", lang)
    commented = re.compile(r"# (- \{|   scale|connections|username|password: \{c|tls)")
    out.write_text(commented.sub(r"\1", out.read_text()))
    site, problems = inspect(out)
    assert problems == []
    assert site is not None
    assert len(site.links[0].tags) > 3 + 32


def test_the_starter_files_of_both_languages_differ_in_their_comments_only(
    tmp_path: Path,
) -> None:
    written = [tmp_path / lang for lang in LANGUAGES]
    for out in written:
        init(out, "--lang", out.name)
    first, second = (re.sub(r" *#.*", "", out.read_text()) for out in written)
    assert first == second


def test_a_file_that_is_there_is_never_touched(tmp_path: Path) -> None:
    out = tmp_path / "gateway.yaml"
    out.write_text("mine")
    code, told = init(out, "--lang", "zh")
    assert (code, out.read_text()) == (1, "mine")
    assert "已存在" in told


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    code, told = init(tmp_path / "nowhere" / "gateway.yaml", "--lang", "en")
    assert code == 1
    assert "nowhere" in told
