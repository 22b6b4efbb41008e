"""Figures and tables of the published studies, registered."""

from __future__ import annotations

import pandas as pd

from analysis.evidence.studies.all import GRIDS, HEADED, SPEC_FILES
from analysis.evidence.studies.lists import OWN_LIST
from analysis.report import (
    border_figures,
    build_figures,
    city_figures,
    ledger_figures,
    ledger_tables,
    other_tables,
    policy_study_tables,
    published_tables,
    record_figures,
    wong_figures,
    wong_tables,
)
from analysis.report.outputs import Context, Drawing, output
from analysis.report.tables import Table

EVERY = (*SPEC_FILES, *GRIDS)
FIRST = tuple(study.name for study in HEADED)
WONG, BUILDS = "wong2017", "wong_builds"

_FOREST_NOTE = (
    "Change in reported crime in per cent of the mean, 95 % intervals. Diamonds: published, hollow where no error was; nulls and "
    "directions without a number stand in words. Purple: the specification of ours beside the figure; faint: not informative "
    "or no verdict. Of the 2017 report one rate stands over our mean, one over a control mean that is inferred. Programme on: "
    "the opposite policy. Designs differ in places, policies and years."
)
_MULTIVERSE_NOTE = (
    "Our estimates for all counties, 2015, by rate build and list of places, beside the published number (dashed). Line: "
    "median; dark and light: middle half and nine tenths, families of methods alike; grey: median interval. Right: share of "
    "intervals that hold the published number. Grey marks: a list made after the outcomes, or no informative setting."
)
_CLASSES_NOTE = (
    "Six urban-rural classes by list and build: medians over settings with median intervals. Shaded: the side the report "
    "states; dashed: its one number. Hollow: no setting has twenty treated counties in six states."
)
_BUILDS_NOTE = (
    "From all agencies over the residents they police to county agencies over the whole county: matched differences in total "
    "reported crime, 2015, per 10,000. Dots: estimates, 95 % intervals by state, hollow: not informative. Bars: what takes one "
    "to the next. These are builds that give the published sign and size or do not; what the published report counted and "
    "divided by is not known."
)
_CITIES_NOTE = (
    "Cities, per cent of the mean, 95 % intervals. A city counts as one with a policy where its county, or the city itself where "
    "the two are one, has a documented limit; lists of cities made after the outcomes describe and carry no verdict."
)
_QUARTILES_NOTE = (
    "By quartile of the Hispanic share: published (quarters, 1.96 printed errors) and the design re-done on years (errors by "
    "state and group). Quartiles are of a county's own share of 2010, cut over treated counties and those that touch them. "
    "Hollow: not informative; arrows: the interval goes on."
)
_RECORDS_NOTE = (
    "Declined detainers by state, January 2014 to 19 July 2015, and what the days to the end of September would hold at four "
    "paces. Dashed: the press count less the records'."
)


def grid_alone(results: pd.DataFrame) -> pd.DataFrame:
    """Return results without the specifications that repeat a cell of a grid on a study's own list: the ledger shows them.

    Args:
        results: with a column ``spec``.

    Example:
        >>> grid_alone(pd.DataFrame({"spec": ["wong2017/a", "wong2017/a/own-list"]}))["spec"].tolist()
        ['wong2017/a']
    """
    return results[~results["spec"].str.endswith(f"/{OWN_LIST}")]


@output("figure-28", title="Published estimates and ours on one scale", uses=EVERY, needs=("forest",))
def _forest(context: Context) -> Drawing:
    frame = context.get("forest")
    return Drawing(ledger_figures.forest_figure(frame, note=_FOREST_NOTE), ledger_figures.forest_rows(frame))


@output(
    "figure-29", title="Three builds of a county rate, taken apart", uses=[BUILDS], needs=("wong_builds",)
)
def _builds(context: Context) -> Drawing:
    frame = context.get("wong_builds")
    return Drawing(build_figures.builds_figure(frame, note=_BUILDS_NOTE), build_figures.builds_rows(frame))


@output(
    "figure-30",
    title="The county comparison of 2017 under every open choice",
    uses=[WONG],
    needs=("study_results",),
)
def _multiverse(context: Context) -> Drawing:
    results = grid_alone(context.get("study_results"))
    figure = wong_figures.wong_multiverse_figure(results, note=_MULTIVERSE_NOTE)
    return Drawing(figure, wong_figures.wong_multiverse_rows(results))


@output(
    "figure-31", title="Six classes of counties, and signs published", uses=[WONG], needs=("study_results",)
)
def _classes(context: Context) -> Drawing:
    results = grid_alone(context.get("study_results"))
    figure = wong_figures.wong_classes_figure(results, note=_CLASSES_NOTE)
    return Drawing(figure, wong_figures.wong_classes_rows(results))


@output("figure-32", title="Cities with a policy", uses=["gonzalezobrien2019"], needs=("study_results",))
def _cities(context: Context) -> Drawing:
    results = context.get("study_results")
    figure = city_figures.cities_figure(results, context.labels(), note=_CITIES_NOTE)
    return Drawing(figure, city_figures.cities_rows(results))


@output(
    "figure-33",
    title="Along borders, by quartile of the Hispanic share",
    uses=["biasi2018"],
    needs=("study_results", "registry"),
)
def _quartiles(context: Context) -> Drawing:
    results, registry = context.get("study_results"), context.get("registry")
    figure = border_figures.quartiles_figure(results, registry, note=_QUARTILES_NOTE)
    return Drawing(figure, border_figures.quartile_rows(results, registry))


@output("figure-34", title="Declined detainers on record", needs=("detainer_records", "detainer_weeks"))
def _records(context: Context) -> Drawing:
    rows = record_figures.records_rows(context.get("detainer_records"), context.get("detainer_weeks"))
    return Drawing(record_figures.records_figure(rows, note=_RECORDS_NOTE), rows)


@output("table-54", title="Published figures, ours, and the verdict", uses=EVERY, needs=("ledger",))
def _ledger(context: Context) -> Table:
    return ledger_tables.ledger_table(context.get("ledger"), FIRST)


@output("table-55", title="Verdicts by family of designs", uses=EVERY, needs=("verdict_shares", "ledger"))
def _shares(context: Context) -> Table:
    return ledger_tables.shares_table(context.get("verdict_shares"), context.get("ledger"))


@output("table-56", title="Choices that change a verdict", uses=EVERY, needs=("class_moves", "ledger"))
def _moves(context: Context) -> Table:
    return ledger_tables.moves_table(context.get("class_moves"), context.get("ledger"))


@output("table-57", title="Registered figures recomputed", needs=("registry_audit",))
def _audit(context: Context) -> Table:
    return published_tables.audit_table(context.get("registry_audit"))


@output(
    "table-58",
    title="Builds of a county's crime rate, and what lies between them",
    uses=[BUILDS],
    needs=("wong_builds",),
)
def _builds_table(context: Context) -> Table:
    return build_figures.builds_table(context.get("wong_builds"))


@output("table-59", title="Classes of counties by list of places", uses=[WONG], needs=("study_results",))
def _classes_table(context: Context) -> Table:
    return wong_tables.wong_classes_table(grid_alone(context.get("study_results")))


@output("table-60", title="The economy, published and here", uses=[WONG], needs=("study_results",))
def _economy(context: Context) -> Table:
    return wong_tables.wong_economy_table(grid_alone(context.get("study_results")), context.labels())


@output(
    "table-61",
    title="Cities with a policy, before and after and matched",
    uses=["gonzalezobrien2019", "otsu2021", "martinezschuldt2019"],
    needs=("study_results", "city_lists"),
)
def _cities_table(context: Context) -> Table:
    return city_figures.cities_table(
        context.get("study_results"), context.get("city_lists"), context.labels()
    )


@output(
    "table-62",
    title="Counties with the most Hispanic residents",
    uses=["hausman2020"],
    needs=("study_results",),
)
def _hausman(context: Context) -> Table:
    return policy_study_tables.hausman_table(context.get("study_results"))


@output("table-63", title="Activation of Secure Communities", uses=["milescox2014"], needs=("study_results",))
def _milescox(context: Context) -> Table:
    return policy_study_tables.milescox_table(context.get("study_results"))


@output(
    "table-64",
    title="The border study beside its design on annual data",
    uses=["biasi2018"],
    needs=("study_results", "registry"),
)
def _borders(context: Context) -> Table:
    return border_figures.borders_table(context.get("study_results"), context.get("registry"))


@output(
    "table-65",
    title="Declined detainers in the records and in the press",
    needs=("detainer_records", "detainer_weeks", "places_counted"),
)
def _records_table(context: Context) -> Table:
    frames: list[pd.DataFrame] = [
        context.get(name) for name in ("detainer_records", "detainer_weeks", "places_counted")
    ]
    return record_figures.records_table(*frames)


@output("table-66", title="The other published studies", uses=["kubrinbartos2020"], needs=("others",))
def _others(context: Context) -> Table:
    return other_tables.others_table(context.get("others"))


@output("table-67", title="Every registered figure", uses=EVERY, needs=("ledger",))
def _registry(context: Context) -> Table:
    return ledger_tables.registry_table(context.get("ledger"))


@output("table-68", title="Summaries over studies, and why none was made", needs=("summaries",))
def _summaries(context: Context) -> Table:
    return ledger_tables.summaries_table(context.get("summaries"))
