"""What the documents say is true: their configurations load, the tests they name exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.loader import from_text

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    path
    for path in ROOT.rglob("*.md")
    if not any(part.startswith((".", "node_modules")) for part in path.relative_to(ROOT).parts)
]
BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
WHOLE = [
    (path, text) for path in DOCUMENTS for text in BLOCK.findall(path.read_text())
    if "version: 1" in text
]  # fmt: skip


@pytest.mark.parametrize(("path", "text"), WHOLE, ids=lambda x: getattr(x, "stem", "yaml"))
def test_a_whole_configuration_in_a_document_is_without_mistakes(path: Path, text: str) -> None:
    from_text(text, path.name)


def test_the_readme_shows_a_configuration() -> None:
    assert any(path == ROOT / "README.md" for path, _ in WHOLE)


def test_every_proof_that_the_readme_names_exists() -> None:
    proofs = re.findall(r"`(tests/[\w/.]+\.py)(?:::(\w+))?`", (ROOT / "README.md").read_text())
    assert len(proofs) > 10
    for file, test in proofs:
        text = (ROOT / file).read_text()
        assert not test or f"def {test}(" in text, f"{file} has no {test}"


def test_every_link_in_a_document_leads_somewhere() -> None:
    for path in DOCUMENTS:
        for target in re.findall(r"\]\((?!http|#)([^)#]+)", path.read_text()):
            assert (path.parent / target).exists(), f"{path}: {target}"


def test_no_file_names_a_package_registry() -> None:
    names = ("pypi" + ".org", "pythonhosted", "registry.npm" + "js")
    for path in (*ROOT.glob("requirements*.lock"), ROOT / "pyproject.toml", ROOT / "Makefile"):
        assert not any(name in path.read_text() for name in names)
