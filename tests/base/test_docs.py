"""Generated pages equal what the code says, and the README names what exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from analysis.docs import pages

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["data.md", "outputs.md", "specs.md"])
def test_generated_page_is_current(name):
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == pages()[name], (
        "run: python -m analysis reproduce"
    )


def test_every_relative_link_of_the_readme_leads_somewhere():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (ROOT / target).exists(), target


def test_every_command_of_the_readme_exists():
    from typer.main import get_command

    from analysis.__main__ import app

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    verbs = set(get_command(app).commands)
    assert set(re.findall(r"python -m analysis (\w+)", text)) <= verbs
    targets = set(
        re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    )
    plain = text.replace("python -m analysis make ", "")
    assert set(re.findall(r"(?:^|&& |=\S+ |`)make ([a-z-]+)", plain, flags=re.MULTILINE)) <= targets


def test_readme_code_uses_public_names():
    import analysis

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for line in re.findall(r"from analysis import ([^\n]+)", text):
        assert {name.strip() for name in line.split(",")} <= set(analysis.__all__)
