"""pyproject.toml, requirements.lock and environment.yml describe one environment."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = (ROOT / "requirements.lock").read_text()


def declared() -> list[Requirement]:
    return [Requirement(r) for r in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]]


def locked() -> dict[str, set[str]]:
    versions: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", LOCK, flags=re.MULTILINE):
        versions.setdefault(canonicalize_name(name), set()).add(version)
    return versions


def test_lock_holds_every_declared_package_in_a_declared_version():
    versions = locked()
    for requirement in declared():
        name = canonicalize_name(requirement.name)
        assert name in versions, f"{name} is declared and not locked: run make lock"
        assert all(requirement.specifier.contains(v) for v in versions[name]), (
            f"{name} is locked at {versions[name]}"
        )


def test_lock_holds_nothing_that_pyproject_asked_for_once_and_no_longer_does():
    blocks = re.split(r"\n(?=[A-Za-z0-9_.-]+==)", LOCK)
    asked = {
        canonicalize_name(block.split("==")[0])
        for block in blocks
        if re.search(r"#\s+(?:via\s+)?detainer-policy-study", block)
    }
    assert asked == {canonicalize_name(r.name) for r in declared()}


def test_every_locked_file_has_a_hash_and_no_address():
    for block in re.split(r"\n(?=[A-Za-z0-9_.-]+==)", LOCK)[1:]:
        assert "--hash=sha256:" in block, block.splitlines()[0]
    assert "://" not in LOCK


def test_environment_yml_installs_the_lock_and_pins_nothing_itself():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["name"] == "detainer-policy-study"
    plain = [d for d in environment["dependencies"] if isinstance(d, str)]
    pip = next(d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    assert f"python{PROJECT['requires-python']}" in plain
    assert set(plain) <= {f"python{PROJECT['requires-python']}", "pip", "make", "git"}
    assert pip == ["--require-hashes", "-r requirements.lock"]


def test_installed_versions_are_the_locked_ones():
    from importlib.metadata import version

    versions = locked()
    wrong = {
        r.name: version(r.name)
        for r in declared()
        if version(r.name) not in versions[canonicalize_name(r.name)]
    }
    assert not wrong, f"installed but not locked: {wrong}"
