"""The registered facts, and a reader that lets no slip through."""

from __future__ import annotations

import re

import numpy as np
import pytest

from analysis.base.errors import TableError
from analysis.base.paths import Paths
from analysis.evidence.claims import load_claims

TEXT = Paths().codebook.with_name("claims.toml").read_text(encoding="utf-8")


def changed(tmp_path, old: str, new: str):
    assert old in TEXT
    file = tmp_path / "claims.toml"
    file.write_text(TEXT.replace(old, new, 1), encoding="utf-8")
    return load_claims(file)


def test_three_claims_with_the_figures_they_are_known_by():
    claims = {claim.name: claim for claim in load_claims().claims}
    assert list(claims) == ["no_difference", "fewer", "more"]
    assert [f.size for f in claims["no_difference"].facts] == [None, None, None]
    fewer, more = claims["fewer"].facts[0], claims["more"].facts[0]
    assert (fewer.id, fewer.size, fewer.unit, fewer.std_error) == (
        "wong2017.crime.all",
        -35.5,
        "per_10k",
        None,
    )
    assert (more.id, more.size, more.unit, more.std_error) == (
        "biasi.logcrime_dd1.c2",
        0.0348,
        "log_points",
        0.0122,
    )
    assert np.isnan(fewer.interval()).all(), "no error was published, so none is made"
    # 0.0348 ± 1.959964 x 0.0122
    assert more.interval() == pytest.approx((0.010888, 0.058712), abs=1e-6)


def test_bounds_in_every_unit():
    claims = load_claims()
    five, size = claims.claim("no_difference").bound, claims.claim("fewer").bound
    assert five.value("per_100k", 300.0) == pytest.approx(15.0)
    assert five.value("log_points", np.nan) == pytest.approx(np.log(1.05))
    assert np.isnan(five.value("per_100k", 0.0)), "no bound on a mean of zero"
    assert size.value("per_10k", 300.0, -35.5) == 35.5
    assert all(bound.reason for bound in claims.bounds.values())
    assert claims.common_bound is five


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("near_measures = []", "near_mesures = []", "did you mean near_measures"),
        ("[bounds.published_size]", "[bound.published_size]", "did you mean bounds"),
        ('bound = "published_size"', 'bound = "publishd_size"', "did you mean published_size"),
        ('unit = "per_10k"', 'unit = "per_10"', "did you mean per_10k"),
        ('near_measures = ["total"]', 'near_measures = ["totl"]', "did you mean total"),
        ("size = -35.5\n", "", "no size in a sized claim"),
        ('measures = ["violent"]', 'measures = ["violent"]\nsize = 1.0', "a size in a null claim"),
        ("size = -35.5", 'size = "-35.5"', "a number"),
        ("std_error = 0.0122", "std_error = 0.0", "a positive number"),
        ("outcome_years = [2015, 2015]", "outcome_years = [2016, 2015]", "outcome_years"),
        ("method_seen = true", "method_seen = 1", "true or false"),
        ('id = "wong2017.crime.all"\n', "", "lacks id"),
        ('name = "fewer"', 'name = "more"', "stands twice"),
        ('bound = "five_percent_of_mean"', 'bound = "published_size"', "of a null"),
        ("share = 0.05", "share = 5", "between 0 and 1"),
        ("year = 2017", "year == 2017", "not TOML"),
    ],
)
def test_a_slip_in_the_file_is_named(tmp_path, old, new, words):
    with pytest.raises(TableError, match=re.escape(words)):
        changed(tmp_path, old, new)


def test_an_unknown_claim_names_the_nearest():
    with pytest.raises(TableError, match="did you mean fewer"):
        load_claims().claim("fewr")
