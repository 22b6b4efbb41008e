"""The manifest is strict, and a file is handed out only when it is the one listed."""

from __future__ import annotations

import hashlib
import os
import re
import tomllib

import pytest

from analysis.base.errors import SourceError
from analysis.base.paths import Paths
from analysis.panel.sources import raw as raw_module
from analysis.panel.sources.raw import RawFiles, citations, have_everything, load_manifest, table

CONTENT = b"county,count\n"
EMPTY = hashlib.sha256(b"").hexdigest()
GOOD = f"""
[licences]
free = "free to use"
mine = "of this file alone"

[citations]
agency = "An Agency. 2010. Tables."
other = "Another. 2011. Tables."

[families.tables]
title = "Tables of an agency"
source = "An Agency: https://agency.example"
licence = "free"
citation = "agency"
feeds = ["counts"]
folder = "agency/tables"
official_page = "https://agency.example/tables"
mirror_base = "https://copies.example/0123/"
files = [
  {{ path = "2010.csv", bytes = {len(CONTENT)}, sha256 = "{hashlib.sha256(CONTENT).hexdigest()}" }},
]

[[families.single.files]]
path = "single.csv"
bytes = 0
sha256 = "{EMPTY}"
official_url = "https://agency.example/single.csv"
licence = "mine"
citation = "other"
feeds = ["shares"]
note = "empty"

[families.single]
title = "One file"
source = "An Agency"
licence = "free"
citation = "agency"
feeds = ["counts"]
"""


def load(tmp_path, text):
    path = tmp_path / "manifest.toml"
    path.write_text(text)
    return load_manifest(path)


def test_common_fields_reach_the_files_and_own_fields_win(tmp_path):
    manifest = load(tmp_path, GOOD)
    first, second = manifest.files.values()
    assert first.path == "agency/tables/2010.csv"
    assert first.addresses == ("https://copies.example/0123/2010.csv",)
    assert (first.source, first.licence) == ("https://agency.example/tables", "free to use")
    assert (first.citation, first.feeds) == ("An Agency. 2010. Tables.", ("counts",))
    assert (second.licence, second.citation_key, second.feeds) == ("of this file alone", "other", ("shares",))
    assert second.addresses == (second.source,) == ("https://agency.example/single.csv",)
    assert manifest.feeding("shares") == (second,)
    assert [file.path for file in manifest.select(["single"])] == ["single.csv"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("note =", "notes =", r"unknown key 'notes' in single\.csv.*did you mean note\?"),
        ('feeds = ["counts"]\nfolder', 'feed = ["counts"]\nfolder', r"key 'feed'.*did you mean feeds\?"),
        ("[licences]", "[licenses]", r"unknown key 'licenses'.*did you mean licences\?"),
        ('licence = "mine"', 'licence = "mime"', r"licence of single\.csv.*'mime' \(did you mean mine\?\)"),
        ('citation = "other"', 'citation = "othr"', r"'othr' \(did you mean other\?\)"),
        ("bytes = 0", "bytes = -1", r"bytes of single\.csv.* is -1; expected a whole number"),
        ("bytes = 0", "bytes = true", "bytes of .* is True"),
        ("bytes = 0\n", "", r"single\.csv of families\.single lacks the key 'bytes'"),
        (EMPTY, "E3B0", r"sha256 of single\.csv.* is 'E3B0'; expected 64 lower-case"),
        (EMPTY, EMPTY.upper(), "expected 64 lower-case"),
        ('path = "single.csv"', 'path = "agency/tables/2010.csv"', "2010.csv' of single stands twice"),
        ('path = "single.csv"', 'path = "Agency/Tables/2010.csv"', "stands twice, before in tables"),
        ('path = "single.csv"', 'path = "../single.csv"', "a plain path below the raw folder"),
        ('path = "single.csv"', 'path = "/etc/single.csv"', "a plain path below the raw folder"),
        ('path = "2010.csv"', 'path = "a/../../2010.csv"', "a plain path below the raw folder"),
        ('path = "2010.csv"', 'path = "a//2010.csv"', "a plain path below the raw folder"),
        ('official_url = "https', 'official_url = "ftp', "official_url of single.*https://"),
        ('official_url = "https://agency.example/single.csv"', "", "names no official source"),
        ('official_url =', 'official_page =', "can be had from no address"),
        ('official_page = "https://agency.example/tables"', 'official_page = " "', "text that is not empty"),
        ('feeds = ["shares"]', 'feeds = "shares"', "a list of tidy tables"),
        ('title = "One file"', 'title = "One file"\ntitle = "Twice"', "not valid TOML"),
        ('title = "One file"\n', "", r"families\.single lacks the key 'title'"),
    ],
)  # fmt: skip
def test_manifest_is_strict(tmp_path, old, new, message):
    assert GOOD.count(old) == 1
    with pytest.raises(SourceError, match=message) as caught:
        load(tmp_path, GOOD.replace(old, new))
    assert str(tmp_path / "manifest.toml") in str(caught.value)


def test_missing_manifest_is_a_study_error(tmp_path):
    with pytest.raises(SourceError, match="cannot be read: No such file"):
        load_manifest(tmp_path / "manifest.toml")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "raw/agency/tables").mkdir(parents=True)
    (tmp_path / "raw/agency/tables/2010.csv").write_bytes(CONTENT)
    (tmp_path / "raw/single.csv").write_bytes(b"")
    return tmp_path / "raw"


def test_a_listed_file_is_handed_out(tmp_path, folder):
    raw = RawFiles(folder, load(tmp_path, GOOD))
    assert raw.path("agency/tables/2010.csv").read_bytes() == CONTENT
    assert raw.path("single.csv").stat().st_size == 0
    assert raw.family("tables") == ["agency/tables/2010.csv"]
    assert have_everything(folder, raw.manifest)


def test_wrong_files_are_not_handed_out(tmp_path, folder, monkeypatch):
    monkeypatch.delenv("CRIME_STUDY_DATA", raising=False)
    raw = RawFiles(folder, load(tmp_path, GOOD))
    path = folder / "agency/tables/2010.csv"
    raw.path("agency/tables/2010.csv")
    path.write_bytes(
        CONTENT[:-1] + b";"
    )  # after it was found right: the check must not remember the old bytes
    os.utime(path, ns=(1, 1))
    with pytest.raises(SourceError, match=r"has SHA-256 \w{12}…; expected .* Run `python -m analysis fetch`"):
        raw.path("agency/tables/2010.csv")
    assert have_everything(folder, raw.manifest)
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(SourceError, match=r"holds 12 bytes; expected 13\. .*copies\.example/0123/2010\.csv"):
        raw.path("agency/tables/2010.csv")
    assert not have_everything(folder, raw.manifest)
    path.unlink()
    with pytest.raises(SourceError, match=r"2010\.csv is missing from .*official source: https://agency"):
        raw.path("agency/tables/2010.csv")
    monkeypatch.setenv("CRIME_STUDY_DATA", str(folder))
    with pytest.raises(SourceError, match="Nothing is written to the folder of CRIME_STUDY_DATA"):
        raw.path("agency/tables/2010.csv")


def test_unknown_names_name_the_nearest(tmp_path, folder):
    raw = RawFiles(folder, load(tmp_path, GOOD))
    with pytest.raises(SourceError, match=r"did you mean agency/tables/2010\.csv\?"):
        raw.path("agency/table/2010.csv")
    with pytest.raises(SourceError, match=r"did you mean tables\?"):
        raw.family("table")


def test_a_file_is_hashed_once_a_process(tmp_path, folder, monkeypatch):
    hashed = []
    genuine = raw_module.sha256_of
    monkeypatch.setattr(raw_module, "sha256_of", lambda path: hashed.append(path) or genuine(path))
    manifest = load(tmp_path, GOOD)
    for _ in range(3):
        RawFiles(folder, manifest).path("agency/tables/2010.csv")
    assert len(hashed) == 1


def test_digest_follows_content_and_not_the_addresses(tmp_path):
    base = load(tmp_path, GOOD)
    moved = load(tmp_path, GOOD.replace("copies.example", "elsewhere.example"))
    other = load(tmp_path, GOOD.replace(hashlib.sha256(CONTENT).hexdigest(), "0" * 64))
    assert base.digest() == moved.digest() != other.digest()
    assert base.digest(["single"]) == other.digest(["single"])


def test_availability_table_and_references(tmp_path):
    manifest = load(tmp_path, GOOD)
    rows = table(manifest).set_index("family")
    assert rows.loc["tables", ["files", "official"]].tolist() == [1, 0]
    assert rows.loc["single", "licence"] == "of this file alone"
    assert rows.loc["single", "feeds"] == "shares"
    assert citations(manifest) == {"agency": "An Agency. 2010. Tables.", "other": "Another. 2011. Tables."}


# The study's own manifest ----------------------------------------------------------------------------------


def test_every_pinned_copy_is_immutable_and_every_entry_used():
    manifest = load_manifest()
    for file in manifest.files.values():
        assert re.search(r"/[0-9a-f]{40}/", file.mirror_url), f"{file.path}: no commit in its pinned address"
    document = tomllib.loads(Paths().manifest.read_text(encoding="utf-8"))
    assert set(citations(manifest)) == set(document["citations"])
    assert {file.licence for file in manifest.files.values()} == set(document["licences"].values())


def test_no_compilation_of_the_study_is_fetched():
    committed = [*Paths().compiled_policy.glob("*.csv"), *Paths().compiled_geography.glob("*.csv")]
    fetched = {path.rsplit("/", 1)[-1] for path in load_manifest().files}
    assert not fetched & {path.name for path in committed}


@pytest.mark.real
def test_families_cover_their_years(raw):
    years = {
        name: sorted({int(year) for path in raw.family(name) for year in re.findall(r"(20\d\d)", path)})
        for name in (
            "fbi_table10",
            "fbi_table8",
            "fbi_table8_by_state",
            "fbi_table5",
            "fbi_table6_metro",
            "bls_laus",
        )
    }
    assert years["fbi_table10"] == list(range(2005, 2020))
    # 2005 and 2007 stand as pages by state alone; 2012 in both forms, to check one reader by the other.
    assert years["fbi_table8"] == [2006, *range(2008, 2020)]
    assert years["fbi_table8_by_state"] == [2005, 2007, 2012]
    assert years["fbi_table5"] == list(range(2008, 2020))
    assert years["fbi_table6_metro"] == years["bls_laus"] == list(range(2000, 2020))
    empty = [path for path, file in raw.manifest.files.items() if file.bytes == 0]
    assert empty == [f"fbi/table8_by_state/2007/{state}.csv" for state in ("Connecticut", "Rhode_Island")]
    assert all(raw.path(path).read_bytes() == b"" for path in empty)
