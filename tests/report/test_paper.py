"""The paper holds no number that was typed in, builds from generated ones, and repeats byte for byte."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import report_cases as cases

from analysis.base.errors import StudyError, TableError
from analysis.base.paths import ROOT
from analysis.report.numbers import (
    ClaimsList,
    Fact,
    Number,
    PaperClaim,
    check_claims,
    check_paper,
    claim_problems,
    headline_sentence,
    load_claims_list,
    make_numbers,
    published_values,
    sentences_of,
    verdict_summary,
)
from analysis.report.outputs import OUTPUTS, make_output
from analysis.report.paper import build_paper

NUMBERS = {
    "panel.areas": Number("3,138", 3138.0, "areas", "table-5"),
    "say:first_stage": Number("It moved.", None, "words", "table-7"),
}
CLAIM = PaperClaim("The panel holds", ("table-5",), ("panel.areas",))
TEXT = 'The panel holds #n("panel.areas") areas.\n'


def problems(text, *claims, facts=(), published=None):
    return claim_problems(text, ClaimsList(tuple(claims), tuple(facts)), NUMBERS, published)


def test_a_sentence_tied_to_its_output_passes():
    assert problems(TEXT, CLAIM) == []


@pytest.mark.parametrize(
    ("text", "claim", "found"),
    [
        ("The panel holds 3,138 areas.", None, "typed into the text, 3,138"),
        ("It fell by −35.5 per resident.", None, "typed into the text, −35.5"),
        ('The panel holds #n("panel.area") areas.', CLAIM, "did you mean panel.areas"),
        (TEXT, None, "no claim for the sentence"),
        (TEXT, replace(CLAIM, numbers=("panel.areas", "panel.years")), "lists"),
        (TEXT, replace(CLAIM, output=("table-4",)), "its numbers stand in"),
        (TEXT, replace(CLAIM, output=("table-5", "table-99")), "not a registered output"),
        ("Nothing is said.", CLAIM, "claim without a sentence"),
    ],
)
def test_each_way_to_break_the_rule_is_found(text, claim, found):
    assert any(found in line for line in problems(text, *([claim] if claim else [])))


def test_years_citations_code_and_labels_are_no_typed_numbers():
    text = (
        "#set text(size: 10pt)\n// a comment with 12\n= Heading\nFrom 2010-17, as @wong2017 says (@table-5), `declines_5`.\n"
        '#display("figure-5", height: 7.9in)[A caption.]\n'
    )
    assert problems(text) == []


def test_facts_need_a_source_that_holds_them():
    text = "A report finds 35.5 fewer. Fewer than 20 treated areas take no verdict."
    good = [Fact("35.5 fewer", "published:study.all"), Fact("Fewer than 20 treated", "protocol:7")]
    assert problems(text, facts=good, published={"study.all": -35.5}) == []
    wrong = problems(text, facts=good, published={"study.all": -36.0})
    assert any("is not the registered -36.0" in line for line in wrong)
    assert any(
        "not protocol" in line for line in problems(text, facts=[replace(good[0], source="memory"), good[1]])
    )
    unused = problems("Nothing.", facts=[good[1]])
    assert unused == ["fact nowhere in the text: 'Fewer than 20 treated'"]


def test_phrases_count_as_numbers():
    assert (
        problems('#say("first_stage")\n', PaperClaim("{say:first_stage}", ("table-7",), ("say:first_stage",)))
        == []
    )
    assert any("no claim" in line for line in problems('#say("first_stage")\n'))


def test_check_raises_with_every_problem():
    with pytest.raises(StudyError, match=r"2 problem\(s\)"):
        check_claims("It holds 3 and then. It holds 4.", ClaimsList((), ()), NUMBERS)


def test_claims_list_refuses_other_keys(tmp_path):
    path = tmp_path / "claims.toml"
    path.write_text('[[claim]]\nbegins = "A"\noutputs = ["table-1"]\nnumbers = []\n')
    with pytest.raises(TableError, match=r"\[\[claim\]\] 1 holds begins, numbers, outputs"):
        load_claims_list(path)


def test_sentences_survive_abbreviations():
    assert sentences_of("So say Abel et al. in 2019. And so on.") == [
        "So say Abel et al. in 2019.",
        "And so on.",
    ]


def test_uninformative_rows_exclude_nothing():
    rows = cases.headline()
    row = rows[(rows["definition"] == "policy_verified") & (rows["claim"] == "fewer")]
    text = headline_sentence(row)
    assert "not informative" in text and "exclude" not in text
    known = headline_sentence(rows[(rows["definition"] == "policy_any") & (rows["claim"] == "fewer")])
    assert "exclude" in known and "−22.7" in known and "39.3" in known and ", if " in known


def test_summary_counts_every_row_once():
    rows = cases.headline()
    ours = rows[(rows["claim"] == "fewer") & ~rows["published"]]
    assert verdict_summary(ours).startswith(
        f"Of {len(ours)} estimates beside this claim, 5 are inconclusive and 1 is not"
    )


def test_registered_sizes_are_at_hand():
    assert published_values()["wong2017.crime.all"] == -35.5


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """An invented study with the paper's own text beside it."""
    root = tmp_path_factory.mktemp("paper")
    (root / "paper").mkdir()
    for name in ("main.typ", "template.typ", "refs.bib", "claims.toml"):
        shutil.copy(ROOT / "paper" / name, root / "paper" / name)
    context = cases.context(root, simulated=True)
    for name in OUTPUTS:
        make_output(name, context)
    return context


def test_every_number_of_the_text_is_generated_and_tied_to_an_output(tree):
    text = (ROOT / "paper" / "main.typ").read_text(encoding="utf-8")
    claims = load_claims_list(ROOT / "paper" / "claims.toml")
    assert claim_problems(text, claims, make_numbers(tree), published_values()) == []


def test_the_paper_builds_twice_to_the_same_bytes_and_says_simulated_on_every_page(tree):
    from pypdf import PdfReader

    made = build_paper(tree)
    first = made.read_bytes()
    assert build_paper(tree).read_bytes() == first
    pages = [page.extract_text() for page in PdfReader(made).pages]
    assert all("SIMULATED DATA" in page for page in pages)
    whole = " ".join(" ".join(pages).split())
    assert "Pilot estimates on these data were seen before any specification was written" in whole
    assert "nothing in this paper is called confirmatory" in whole
    assert check_paper(tree.paths).endswith("figures and tables")


def test_the_paper_keeps_to_the_words_of_the_protocol():
    text = " ".join(sentences_of((ROOT / "paper" / "main.typ").read_text(encoding="utf-8"))).lower()
    for word in ("sanctuary ", "naive", "survives", "prove that", "no effect"):
        assert word not in text, word


def test_a_real_paper_needs_every_output(tmp_path):
    (tmp_path / "paper").mkdir()
    for name in ("main.typ", "template.typ", "refs.bib", "claims.toml"):
        shutil.copy(ROOT / "paper" / name, tmp_path / "paper" / name)
    with pytest.raises(StudyError, match="the paper needs table-1, figure-1"):
        build_paper(cases.context(tmp_path))


def test_a_text_that_does_not_compile_says_where(tree, tmp_path):
    from analysis.report.paper import compile_typst

    source = tmp_path / "broken.typ"
    source.write_text("#unknown-function()")
    with pytest.raises(StudyError, match=r"broken\.typ does not compile"):
        compile_typst(source, tmp_path / "broken.pdf", root=tmp_path, inputs={})
    assert not (tmp_path / "broken.pdf").exists()
