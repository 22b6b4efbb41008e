"""Treatment definitions: policy tables to who is treated, from when, against whom, and in which designs.

Every definition answers through one interface. `carries` says which designs it can bear (protocol rule 6);
`make_treatment` assigns every county of a panel to treated, comparison or excluded, with the reason in words;
`assign_treatment` does so for a panel and a spec.

Decisions that the definitions share:

- **Onset.** Under ``first_full_year`` the first treated year (``cohort``) is the year after adoption and the
  adoption year is a transition year; a policy of 1 January counts from that year. Under ``adoption_year`` the
  adoption year itself is the first treated one.
- **Before.** Years from an earlier limit that the definition does not count (a partial one before the full
  one; an unverified one before the verified one) up to the cohort are neither before nor after:
  ``drop_from_year`` to ``drop_to_year``. The transition year lies in that range.
- **End.** A repeal, or a state law that requires cooperation, ends a policy: ``last_year`` is the last year
  whose rows count. A county whose policy ends before its first treated year is excluded.
- **Activation.** Secure Communities is read from the panel's own column, the share of a year's months in which it
  was active: the cohort is the first year active throughout, the transition year the one active in part.
- **Levels.** A city's policy does not bind the county jail: cities treat no county (cities whose government
  is the county's come as level county). A state's law treats all its counties, under ``state_law`` and in a
  user's csv.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from analysis.base.city_names import read_city_policies
from analysis.base.errors import ProtocolError, SampleError, SpecError, TableError, nearest
from analysis.base.fips import NEW_YORK_CITY, NEW_YORK_COUNTIES
from analysis.base.policy_dates import EARLIEST_YEAR, LATEST_YEAR, read_user_policies
from analysis.base.records import Panel
from analysis.design.sample import in_areas

# Their sheriffs or jails moved together, on paper or in practice, and not every county is on record (rule 6,
# D2).
STATES_THAT_MOVED = ("CA", "CO", "CT", "NM", "OR", "PA", "WA")
LIMITS = ("limit_partial", "limit_full")
# Recorded declines (D3): fewer than five a year is noise, not a policy, so that such counties stay
# comparisons; 0 would keep only counties without any recorded decline, which are smaller and more rural.
FEWEST_DECLINES = 5
COMPARISON_MOST_DECLINES = 4
# Chosen by the size of declines alone: about a third of what D3 counties show in 2014 (1.4 per 10,000).
DECLINES_PER_10K = 0.5
DECLINES_UNTIL = 2015
# The last year in which Secure Communities was active throughout; the programme ended in November 2014.
ACTIVATION_UNTIL = 2013
ACTIVATION = "secure_communities"

DESIGNS = ("cross_section", "between", "within")
TABLE_COLUMNS = (
    "county_fips", "state", "status", "reason", "adoption_date", "adoption_year", "transition_year", "cohort",
    "drop_from_year", "drop_to_year", "last_year", "level", "upper_bound", "verified",
)  # fmt: skip
_YEARS = ("adoption_year", "transition_year", "cohort", "drop_from_year", "drop_to_year", "last_year")


@dataclass(frozen=True, slots=True)
class Definition:
    """What "treated" means, and what the meaning can bear.

    Args:
        name: as in ``treatment.definition``.
        label: in words, for figures and tables.
        source: which policy tables it rests on.
        kind: how it is built: ``policy``, ``declines``, ``state``, ``activation``, ``list`` or ``user``.
        description: one sentence.
        dated: what dates it.
        designs: ``cross_section``, ``between``, ``within`` to ``yes``, ``descriptive`` or the reason of a
            refusal.
        directions: events that count, for policies.
        verified_only: whether only individually verified events count.
        share: smallest share of resolved detainers declined, for declines.
        per_10k: smallest number of declines per 10,000 residents, for declines.
        outcomes_until: last year of outcomes, or None.
        why_until: why outcomes end there.
        no_never: why no county is never treated, or "" where some are.
        note: what every estimate under it must say.
    """

    name: str
    label: str
    source: str
    kind: str
    description: str
    dated: str
    designs: Mapping[str, str]
    directions: tuple[str, ...] = ()
    verified_only: bool = False
    share: float = 0.0
    per_10k: float = 0.0
    outcomes_until: int | None = None
    why_until: str = ""
    no_never: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Carried:
    """Whether a definition can carry a design.

    Args:
        allowed: whether it can.
        reason: why not, or "".
        wanted: what would be right instead, or "".
        note: what estimates must say where it can, or "".
    """

    allowed: bool
    reason: str = ""
    wanted: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Treatment:
    """Who is treated, when, and who is a clean comparison, under one definition.

    Args:
        definition: the definition.
        kind: ``panel`` or ``cross_section``.
        table: one row a county, sorted by ``county_fips``: ``status`` (treated, comparison, excluded) with
            its ``reason``; ``adoption_date`` (as precise as known), ``adoption_year``, ``transition_year``,
            ``cohort``, ``drop_from_year``, ``drop_to_year``, ``last_year`` (Int64, missing for none);
            ``level``, ``upper_bound``, ``verified``.
        notes: what a reader of an estimate must know.
    """

    definition: Definition
    kind: str
    table: pd.DataFrame
    notes: tuple[str, ...]


class _Sectioned(Protocol):
    """What `assign_treatment` reads of a spec."""

    @property
    def treatment(self) -> object: ...
    @property
    def sample(self) -> object: ...
    @property
    def design(self) -> object: ...
    @property
    def definition_path(self) -> Path | None: ...


# ------------------------------------------------------------------------------------------------------------
# The definitions
# ------------------------------------------------------------------------------------------------------------

_EVERYWHERE = {"cross_section": "yes", "between": "yes", "within": "yes"}
_UNDATED = "the list of 2025 is undated and made after the outcomes: it can tell no before from after"
_LISTED = {"cross_section": "descriptive", "between": _UNDATED, "within": _UNDATED}
_ABSORBED = "a state's law treats all its counties at once, and effects of state by year absorb it"
_D2_NOTE = (
    "unlisted counties of CA, CO, CT, NM, OR, PA and WA are no comparisons: those states moved as a whole"
)
_D3_NOTE = (
    "recorded declines rise with arrests and county size, and end on 19 July 2015; a later 'never' is unknown"
)
_D3_UNTIL = "the detainer records end on 19 July 2015, and a later 'never' is unknown"
_E1_NOTE = (
    "Secure Communities increased cooperation, so that its sign is expected opposite to that of a limit; it was "
    "switched on first where many Hispanic residents live and along the border (rule 9), and everywhere by January 2013"
)
_E1_UNTIL = "no county is left to compare with from 2013, and the programme ended in November 2014"
_E1_NO_NEVER = "every county was active by January 2013, so that none is never treated"
_SINGLE_YEAR = (
    "activation spread over the counties within five years in an order set by their residents: one year compares "
    "early with late ones"
)
_D5_NOTE = "descriptive, post-outcome: the list was drawn up in 2025, after every outcome"


def _policy(
    name: str, label: str, description: str, directions: tuple[str, ...], verified: bool = False
) -> Definition:
    return Definition(
        name, label, "D2", "policy", description, "day, month or year of the policy", _EVERYWHERE,
        directions=directions, verified_only=verified, note=_D2_NOTE,
    )  # fmt: skip


def _declines(
    name: str, label: str, description: str, share: float = 0.0, per_10k: float = 0.0
) -> Definition:
    return Definition(
        name, label, "D3", "declines", description, "first year at the threshold", _EVERYWHERE,
        share=share, per_10k=per_10k, outcomes_until=DECLINES_UNTIL, why_until=_D3_UNTIL, note=_D3_NOTE,
    )  # fmt: skip


def _list(name: str, label: str, source: str, description: str) -> Definition:
    return Definition(name, label, source, "list", description, "undated", _LISTED, note=_D5_NOTE)


DEFINITIONS: Mapping[str, Definition] = {
    d.name: d
    for d in (
        _policy(
            "policy_any", "Documented limit, any",
            "The county limits detainers, in part or in full.", LIMITS,
        ),
        _policy(
            "policy_full", "Documented full decline",
            "The county declines detainers without a judicial warrant or probable cause.", ("limit_full",),
        ),
        _policy(
            "policy_verified", "Documented limit, verified",
            "As any limit, where a source speaks of the county itself.", LIMITS, verified=True,
        ),
        _declines(
            "declines_5", "Recorded declines, 5 a year",
            "At least 5 detainers recorded as declined in a year.",
        ),
        _declines(
            "declines_share25", "Recorded declines, 25 %",
            "At least 5 declines in a year and at least 25 % of the detainers resolved.", share=0.25,
        ),
        _declines(
            "declines_share50", "Recorded declines, 50 %",
            "At least 5 declines in a year and at least 50 % of the detainers resolved.", share=0.50,
        ),
        _declines(
            "declines_per_10k", "Recorded declines, by size",
            f"At least 5 declines in a year and at least {DECLINES_PER_10K} per 10,000 residents.",
            per_10k=DECLINES_PER_10K,
        ),
        Definition(
            "state_law", "State law, ruling or practice", "D7", "state",
            "The state limits cooperation by law, ruling, directive or common practice.",
            "day, month or year of the law",
            {"cross_section": "yes", "between": "yes", "within": _ABSORBED},
            directions=LIMITS,
            note="few states, so few clusters; states that require cooperation are excluded",
        ),
        _list(
            "dhs_2025", "Homeland Security list, May 2025", "D5", "The county is on the list of 29 May 2025."
        ),
        _list("doj_2025", "Justice list, August 2025", "D6", "The county is on the list of 5 August 2025."),
        Definition(
            ACTIVATION, "Secure Communities, activation", "E1", "activation",
            "Fingerprints of everyone booked into the county's jail go to the immigration authorities.",
            "month of activation",
            {"cross_section": _SINGLE_YEAR, "between": "yes", "within": "yes"},
            outcomes_until=ACTIVATION_UNTIL, why_until=_E1_UNTIL, no_never=_E1_NO_NEVER, note=_E1_NOTE,
        ),
    )
}  # fmt: skip

_USER = Definition(
    "user", "User's own dates", "user", "user", "The dates of a csv of the user's own.", "as the csv says",
    _EVERYWHERE, directions=LIMITS,
    note="dates are the user's own; counties the csv does not name are comparisons",
)  # fmt: skip


def definition_of(name: str) -> Definition:
    """Return the definition of that name; a path that ends in .csv stands for a user's own dates.

    Raises:
        SpecError: an unknown name; the nearest known one is named.

    Example:
        >>> definition_of("policy_full").source, definition_of("mine/dates.csv").kind
        ('D2', 'user')
        >>> definition_of("policy_ful")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        analysis.base.errors.SpecError: treatment.definition = "policy_ful" (did you mean policy_full?); ...
    """
    if name in DEFINITIONS:
        return DEFINITIONS[name]
    if name.endswith(".csv"):
        return _USER
    raise SpecError(
        f'treatment.definition = "{name}"{nearest(name, DEFINITIONS)}',
        f"one of {', '.join(DEFINITIONS)}, or the path of a csv",
        "treatment.definition",
    )


def is_descriptive(name: str) -> bool:
    """Return whether estimates under a definition describe and carry no verdict: the lists of 2025.

    Example:
        >>> is_descriptive("dhs_2025"), is_descriptive("policy_any")
        (True, False)
    """
    return "descriptive" in definition_of(name).designs.values()


def carries(name: str, kind: str, within: str, comparison: str | None = None) -> Carried:
    """Return whether a definition can carry a design (protocol rule 6).

    Args:
        name: the definition, or the path of a csv.
        kind: ``panel`` or ``cross_section``.
        within: ``state`` where counties are compared within their state, else ``none``.
        comparison: ``never_treated`` or ``not_yet_treated``; None where it is not settled.

    Raises:
        SpecError: an unknown definition.

    Example:
        >>> carries("policy_any", "panel", "state").allowed, carries("state_law", "panel", "state").allowed
        (True, False)
        >>> carries("secure_communities", "panel", "none", "never_treated").wanted
        'comparison = "not_yet_treated"'
    """
    definition = definition_of(name)
    # A law that treats a whole state leaves nothing to compare within it, in a cross-section as in a panel.
    absorbed = within == "state" and definition.designs["within"] == _ABSORBED
    if kind == "cross_section" and not absorbed:
        design = "cross_section"
    else:
        design = "within" if within == "state" else "between"
    answer = definition.designs[design]
    if definition.no_never and comparison == "never_treated":
        reason = f"{name} cannot be compared with the never treated: {definition.no_never}"
        return Carried(False, reason, 'comparison = "not_yet_treated"')
    if answer in ("yes", "descriptive"):
        return Carried(True, note=definition.note)
    able = [
        _DESIGN_WORDS[other] for other, word in definition.designs.items() if word in ("yes", "descriptive")
    ]
    reason = f"{name} cannot carry a {_DESIGN_WORDS[design]}: {answer}"
    return Carried(False, reason, f"a {' or a '.join(able)}, or another definition")


_DESIGN_WORDS = {
    "cross_section": "cross-section",
    "between": "panel that compares between states",
    "within": "comparison within states",
}


def require_carries(
    name: str, kind: str, within: str, last_year: int | None = None, comparison: str | None = None
) -> None:
    """Refuse a design that a definition cannot carry, naming the rule and the reason.

    Args:
        name, kind, within, comparison: as in `carries`.
        last_year: last year of outcomes; recorded declines carry outcomes to 2015.

    Raises:
        ProtocolError: the definition cannot carry the design, or not in these years.

    Example:
        >>> require_carries("doj_2025", "panel", "none")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        analysis.base.errors.ProtocolError: rule 6: doj_2025 cannot carry a panel that compares between ...
    """
    answer = carries(name, kind, within, comparison)
    if not answer.allowed:
        raise ProtocolError(f"rule 6: {answer.reason}", answer.wanted, "treatment.definition")
    chosen = definition_of(name)
    until = chosen.outcomes_until
    if until is not None and last_year is not None and last_year > until:
        raise ProtocolError(
            f"rule 6: {name} with outcomes to {last_year}: {chosen.why_until}",
            f"outcomes to {until}",
            "sample.years",
        )


def definitions_table() -> pd.DataFrame:
    """Return every definition and the designs it can carry: protocol rule 6 as a table.

    Returns:
        ``name, label, source, description, dated, cross_section, between, within`` (yes, descriptive or
        refused), ``why`` (reason of a refusal or the definition's note).

    Example:
        >>> definitions_table().set_index("name").loc["state_law", ["cross_section", "between",
        ...     "within"]].tolist()
        ['yes', 'yes', 'refused']
    """
    rows = []
    for d in (*DEFINITIONS.values(), _USER):
        answers = {
            name: d.designs[name] if d.designs[name] in ("yes", "descriptive") else "refused"
            for name in DESIGNS
        }
        refusals = [d.designs[name] for name in DESIGNS if answers[name] == "refused"]
        until = {
            "cross_section": f" (to {d.outcomes_until})",
            "between": f" (outcomes to {d.outcomes_until})",
        }
        until["within"] = until["between"]
        if d.outcomes_until:
            answers = {
                name: word if word == "refused" else word + until[name] for name, word in answers.items()
            }
        why = "; ".join(dict.fromkeys([*refusals, d.note]))
        rows.append(
            {
                "name": d.name,
                "label": d.label,
                "source": d.source,
                "description": d.description,
                "dated": d.dated,
                **answers,
                "why": why,
            }
        )
    return pd.DataFrame(rows)


# ------------------------------------------------------------------------------------------------------------
# Assignment
# ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Options:
    onset: str
    upper_bound_dates: str
    comparison: str
    kind: str
    year: int | None
    last_panel_year: int
    area: str = "county"


@dataclass(frozen=True, slots=True)
class _Row:
    status: str
    reason: str
    adoption_date: str | None = None
    adoption_year: int | None = None
    transition_year: int | None = None
    cohort: int | None = None
    drop_from_year: int | None = None
    drop_to_year: int | None = None
    last_year: int | None = None
    level: str | None = None
    upper_bound: bool = False
    verified: bool = False


def assign_treatment(panel: Panel, spec: _Sectioned) -> Treatment:
    """Return who is treated in a panel under a spec; see `make_treatment`.

    Args:
        panel: the panel; its ``policies`` and ``declines`` are read, and its neighbours for a ring test.
        spec: its sections ``treatment``, ``sample`` (areas by name) and ``design``, and the path of a user's csv.

    Raises:
        SampleError: a ring test on a panel without neighbours, or ``treatment.only`` holds what treats nobody.

    Example:
        >>> treatment = assign_treatment(panel, load_spec("main"))  # doctest: +SKIP
    """
    asked, path = spec.treatment, spec.definition_path
    policies = panel.policies
    if path is not None:
        if panel.area == "city":
            policies = with_user_city_dates(policies, path, panel.table)
        else:
            policies = with_user_dates(policies, path, panel.table["county_fips"].unique())
    treatment = make_treatment(
        panel.table,
        policies,
        panel.declines,
        definition_of(asked.definition),  # type: ignore[attr-defined]
        onset=asked.onset,  # type: ignore[attr-defined]
        upper_bound_dates=asked.upper_bound_dates,  # type: ignore[attr-defined]
        comparison=asked.comparison,  # type: ignore[attr-defined]
        kind=spec.design.kind,  # type: ignore[attr-defined]
        year=asked.status_year or spec.design.year,  # type: ignore[attr-defined]
        area=panel.area,
    )
    if asked.exposed == "neighbours":  # type: ignore[attr-defined]
        named = spec.sample
        left_out = {*named.drop_states, *named.drop_counties}  # type: ignore[attr-defined]
        if named.keep_states:  # type: ignore[attr-defined]
            left_out |= set(panel.table["state"]) - set(named.keep_states)  # type: ignore[attr-defined]
        treatment = expose_neighbours(
            treatment,
            panel.geography.neighbours,
            asked.only,  # type: ignore[attr-defined]
            left_out,
        )
    if asked.placebo_shift is not None:  # type: ignore[attr-defined]
        treatment = shift_back(treatment, asked.placebo_shift, asked.anticipation)  # type: ignore[attr-defined]
    return treatment


def with_user_dates(policies: pd.DataFrame, path: Path, known: Collection[str]) -> pd.DataFrame:
    """Return the policy events with those of a user's csv in place of any earlier user's.

    New York City's five counties become the one area of the panel, and their rows of one date one event.

    Args:
        policies: table ``policy_events``.
        path: the csv; see `read_user_policies`.
        known: the panel's county codes: any other code in the csv is refused.

    Raises:
        SourceError, TableError: as `read_user_policies`.

    Example:
        >>> known = panel.table["county_fips"].unique()  # doctest: +SKIP
        >>> policies = with_user_dates(panel.policies, Path("mine.csv"), known)  # doctest: +SKIP
    """
    own = read_user_policies(path, known)
    city = own["county_fips"].isin([*NEW_YORK_COUNTIES, NEW_YORK_CITY])
    own = own.assign(
        county_fips=own["county_fips"].mask(city, NEW_YORK_CITY),
        jurisdiction=own["jurisdiction"].mask(city & own["level"].eq("county"), "New York City"),
    )
    # Cities of one county stay apart by their names.
    event = ["county_fips", "state", "level", "jurisdiction", "date", "direction"]
    own = own.assign(rows=own.groupby(event, dropna=False)["date"].transform("size")).drop_duplicates(event)
    return _in_place_of_earlier(policies, own)


def with_user_city_dates(policies: pd.DataFrame, path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Return the policy events of a panel of cities with those of a user's csv in place of any earlier user's.

    Args:
        policies: table ``policy_events``, with the cities' keys in ``county_fips``.
        path: the csv; see `analysis.base.city_names.read_city_policies`.
        table: the panel of cities.

    Raises:
        SourceError, TableError: as `read_city_policies`: a city of the csv that cannot be placed is named.

    Example:
        >>> policies = with_user_city_dates(panel.policies, Path("mine.csv"), panel.table)  # doctest: +SKIP
    """
    return _in_place_of_earlier(policies, read_city_policies(path, table).assign(rows=1))


def _in_place_of_earlier(policies: pd.DataFrame, own: pd.DataFrame) -> pd.DataFrame:
    others = policies[policies["definition_source"] != "user"]
    own = own.assign(event=[f"user-{n:03d}" for n in range(1, len(own) + 1)])
    return pd.concat(
        [others.astype("object"), own.reindex(columns=others.columns).astype("object")], ignore_index=True
    )


def make_treatment(
    panel_table: pd.DataFrame,
    policies: pd.DataFrame,
    declines: pd.DataFrame,
    definition: Definition | str,
    *,
    onset: str,
    upper_bound_dates: str,
    comparison: str,
    kind: str,
    year: int | None = None,
    area: str = "county",
) -> Treatment:
    """Return for every county of a panel whether it is treated, a clean comparison, or excluded, and since
    when.

    Args:
        panel_table: county-years with ``county_fips, year, state`` and, for declines by size, ``population``.
        policies: table ``policy_events``.
        declines: table ``declines``.
        definition: the definition or its name.
        onset: ``first_full_year`` or ``adoption_year``.
        upper_bound_dates: ``as_dated``, or ``one_year_earlier`` for dates that are those of a report.
        comparison: ``never_treated`` or ``not_yet_treated``; in a cross-section the latter keeps counties
            that adopt after the year as comparisons.
        kind: ``panel`` or ``cross_section``.
        year: the year of a cross-section: treated is a policy in force on its 1 January; adopters of that
            year are excluded (under ``adoption_year`` they count as treated).
        area: ``city`` where rows and events stand under the keys of cities; of lists and a user's csv the cities' own
            entries then count.

    Returns:
        The `Treatment`.

    Raises:
        SpecError: an unknown option.
        TableError: a policy dated before 1980 or in the future, a county in two states, a column missing.
        ProtocolError: a list of 2025 in a panel.

    Assumes:
        dates are those of adoption or, where flagged, no earlier than adoption; a county not on record has no
        limit, except in the states that moved as a whole.

    Example:
        >>> panel = pd.DataFrame({"county_fips": ["55001", "55003"], "year": [2014, 2014], "state": ["WI",
        ...     "WI"]})
        >>> policies = pd.DataFrame({"definition_source": ["D2"], "state": ["WI"], "level": ["county"],
        ...     "county_fips": ["55001"], "direction": ["limit_full"], "date": ["2014-04-16"], "year": [2014],
        ...     "precision": ["day"], "upper_bound": [False], "verified": [True]})
        >>> none = pd.DataFrame({"county_fips": [], "year": [], "declined": [], "decline_share": []})
        >>> made = make_treatment(panel, policies, none, "policy_full", onset="first_full_year",
        ...     upper_bound_dates="as_dated", comparison="never_treated", kind="panel")
        >>> made.table[["status", "transition_year", "cohort"]].values.tolist()
        [['treated', 2014, 2015], ['comparison', <NA>, <NA>]]
    """
    chosen = definition_of(definition) if isinstance(definition, str) else definition
    counties = _counties(panel_table)
    options = _Options(onset, upper_bound_dates, comparison, kind, year, int(panel_table["year"].max()), area)
    _check_options(chosen, options)
    events = _moved_dates(_check_events(policies), upper_bound_dates)
    rows = _BUILDERS[chosen.kind](chosen, counties, events, declines, panel_table, options)
    if kind == "cross_section" and chosen.kind != "list":
        rows = {fips: _in_force(row, options) for fips, row in rows.items()}
    table = _table(counties, rows)
    notes = _notes(chosen, table, events, declines, counties, options)
    return Treatment(chosen, kind, table, tuple(notes))


def _check_options(definition: Definition, options: _Options) -> None:
    allowed = {
        "onset": ("first_full_year", "adoption_year"),
        "upper_bound_dates": ("as_dated", "one_year_earlier"),
        "comparison": ("never_treated", "not_yet_treated"),
        "kind": ("panel", "cross_section"),
    }
    for name, values in allowed.items():
        value = getattr(options, name)
        if value not in values:
            raise SpecError(
                f'{name} = "{value}"{nearest(str(value), values)}', " or ".join(values), "the spec"
            )
    if options.kind == "cross_section" and options.year is None:
        raise SpecError("a cross-section without design.year", "a year", "design.year")
    if definition.kind in ("list", "activation"):
        require_carries(definition.name, options.kind, "none", comparison=options.comparison)


def _counties(panel_table: pd.DataFrame) -> pd.DataFrame:
    counties = (
        panel_table[["county_fips", "state"]]
        .drop_duplicates()
        .sort_values("county_fips")
        .reset_index(drop=True)
    )
    twice = counties["county_fips"].duplicated()
    if twice.any():
        raise TableError(
            f"county {counties.loc[twice, 'county_fips'].iloc[0]} lies in two states", "one state a county"
        )
    return counties


def _check_events(policies: pd.DataFrame) -> pd.DataFrame:
    years = pd.to_numeric(policies["year"]).astype("Int64")
    outside = years.notna() & ~years.between(EARLIEST_YEAR, LATEST_YEAR).fillna(True)
    if outside.any():
        bad = policies[outside].iloc[0]
        when = "before 1980" if bad["year"] < EARLIEST_YEAR else "in the future"
        raise TableError(
            f"the policy of {bad['county_fips']} ({bad['state']}) is dated {bad['date']}, {when}",
            "a date from 1980 on",
        )
    return policies.assign(year=years)


def _moved_dates(events: pd.DataFrame, upper_bound_dates: str) -> pd.DataFrame:
    if upper_bound_dates == "as_dated":
        return events
    moved = events["upper_bound"].astype(bool) & events["year"].notna()
    year = events["year"].where(~moved, events["year"] - 1)
    date = [f"{y}{str(d)[4:]}" if m else d for d, y, m in zip(events["date"], year, moved, strict=True)]
    return events.assign(year=year, date=pd.Series(date, index=events.index, dtype="object"))


def onset_years(year: int, date: str, precision: str, onset: str) -> tuple[int, int | None]:
    """Return cohort and transition year of an adoption (protocol rule 5).

    Args:
        year: adoption year.
        date: ISO date as precise as known.
        precision: ``day``, ``month`` or ``year``.
        onset: ``first_full_year`` or ``adoption_year``.

    Example:
        >>> onset_years(2014, "2014-04-16", "day", "first_full_year"), onset_years(2014, "2014-01-01", "day",
        ...     "first_full_year")
        ((2015, 2014), (2014, None))
        >>> onset_years(2014, "2014-01", "month", "first_full_year"), onset_years(2014, "2014", "year",
        ...     "adoption_year")
        ((2015, 2014), (2014, None))
    """
    if onset == "adoption_year" or (precision == "day" and str(date).endswith("-01-01")):
        return year, None
    return year + 1, year


def _spell(
    events: pd.DataFrame, definition: Definition, options: _Options, required: int | None
) -> _Row | None:
    """First policy that counts among a unit's events, its end, and the years neither before nor after."""
    limits = events[events["direction"].isin(LIMITS)]
    counted = limits[limits["direction"].isin(definition.directions)]
    if definition.verified_only:
        counted = counted[counted["verified"].astype(bool)]
    if counted.empty:
        return None
    first = counted.iloc[0]
    year, date = int(first["year"]), str(first["date"])
    cohort, transition = onset_years(year, date, str(first["precision"]), options.onset)
    start = min(int(limits["year"].iloc[0]), transition or cohort)
    repeals = events.loc[(events["direction"] == "repeal") & (events["date"] > date), "year"]
    ends = [int(y) - 1 for y in repeals.head(1)] + ([required - 1] if required is not None else [])
    last = min(ends) if ends else None
    row = _Row(
        "treated", definition.description, date, year, transition, cohort,
        start if start < cohort else None, cohort - 1 if start < cohort else None, last,
        str(first["level"]), bool(first["upper_bound"]), bool(first["verified"]),
    )  # fmt: skip
    if last is not None and last < cohort:
        return _excluded(row, "the limit ended before its first treated year")
    return row


def _excluded(row: _Row, reason: str) -> _Row:
    return _Row(
        "excluded",
        reason,
        row.adoption_date,
        row.adoption_year,
        level=row.level,
        upper_bound=row.upper_bound,
        verified=row.verified,
    )


def _by_unit(events: pd.DataFrame, column: str) -> dict[str, pd.DataFrame]:
    # Equal dates: the fuller limit first, so that its date is the onset whatever the order of rows.
    dated = events[events["year"].notna()].sort_values(["date", "direction"], kind="stable")
    return {str(unit): group for unit, group in dated.groupby(column, sort=True)}


def _first_years(events: pd.DataFrame, directions: Iterable[str]) -> dict[str, int]:
    """First year of a direction among D7, by state."""
    laws = events[
        (events["definition_source"] == "D7")
        & events["direction"].isin(list(directions))
        & events["year"].notna()
    ]
    return {str(state): int(year) for state, year in laws.groupby("state")["year"].min().items()}


def _policy_rows(
    definition: Definition, counties: pd.DataFrame, events: pd.DataFrame, declines: pd.DataFrame,
    panel_table: pd.DataFrame, options: _Options,
) -> dict[str, _Row]:  # fmt: skip
    documented = events[(events["definition_source"] == "D2") & (events["level"] == "county")]
    units = _by_unit(documented, "county_fips")
    required, limited = _first_years(events, ["require"]), _first_years(events, LIMITS)
    rows = {}
    for fips, state in counties.itertuples(index=False):
        own = units.get(fips)
        row = _spell(own, definition, options, required.get(state)) if own is not None else None
        if row is None and own is not None and own["direction"].isin(LIMITS).any():
            reason = "limit not individually verified" if definition.verified_only else "partial limit only"
            row = _Row("excluded", reason)
        rows[fips] = row or _never(state, limited)
    return rows


def _never(state: str, limited: Mapping[str, int]) -> _Row:
    if state in STATES_THAT_MOVED:
        return _Row("excluded", "not on record in a state that moved as a whole")
    # A state's own law limits its unlisted counties too: they compare only until it takes effect.
    return _Row(
        "comparison", "no documented limit", last_year=limited[state] - 1 if state in limited else None
    )


def _state_rows(
    definition: Definition, counties: pd.DataFrame, events: pd.DataFrame, declines: pd.DataFrame,
    panel_table: pd.DataFrame, options: _Options,
) -> dict[str, _Row]:  # fmt: skip
    laws = events[(events["definition_source"] == "D7") & (events["level"] == "state")]
    units, required = _by_unit(laws, "state"), _first_years(laws, ["require"])
    by_state = {}
    for state in counties["state"].unique():
        row = _spell(units[state], definition, options, required.get(state)) if state in units else None
        if row is None and required.get(state, options.last_panel_year + 1) <= options.last_panel_year:
            row = _Row("excluded", "the state requires cooperation")
        by_state[state] = row or _Row("comparison", "no state law, ruling or practice")
    return {fips: by_state[state] for fips, state in counties.itertuples(index=False)}


def _user_rows(
    definition: Definition, counties: pd.DataFrame, events: pd.DataFrame, declines: pd.DataFrame,
    panel_table: pd.DataFrame, options: _Options,
) -> dict[str, _Row]:  # fmt: skip
    own = events[events["definition_source"] == "user"]
    if own.empty:
        raise TableError(
            "the policy table holds no events of a user's csv", "the csv that treatment.definition names"
        )
    units = ("county", "city") if options.area == "city" else ("county",)
    named = _by_unit(own[own["level"].isin(units)], "county_fips")
    whole = _by_unit(own[own["level"] == "state"], "state")
    rows = {}
    for fips, state in counties.itertuples(index=False):
        parts = [part for part in (named.get(fips), whole.get(state)) if part is not None]
        joined = pd.concat(parts).sort_values(["date", "direction"], kind="stable") if parts else None
        required = (
            joined.loc[joined["direction"] == "require", "year"]
            if joined is not None
            else pd.Series(dtype="Int64")
        )
        row = (
            _spell(joined, definition, options, int(required.iloc[0]) if len(required) else None)
            if joined is not None
            else None
        )
        rows[fips] = row or _Row("comparison", "not named in the csv")
    return rows


def _declines_rows(
    definition: Definition, counties: pd.DataFrame, events: pd.DataFrame, declines: pd.DataFrame,
    panel_table: pd.DataFrame, options: _Options,
) -> dict[str, _Row]:  # fmt: skip
    onset = declines_onset(declines, panel_table, definition)
    most = declines.groupby("county_fips")["declined"].max()
    rows = {}
    for fips, _ in counties.itertuples(index=False):
        if fips in onset.index:
            year = int(onset[fips])
            cohort, transition = onset_years(year, str(year), "year", options.onset)
            rows[fips] = _Row(
                "treated", definition.description, str(year), year, transition, cohort, transition,
                transition,
                DECLINES_UNTIL, "county", verified=True,
            )  # fmt: skip
        elif most.get(fips, 0) > COMPARISON_MOST_DECLINES:
            rows[fips] = _Row("excluded", "five or more declines in a year, below the definition's threshold")
        else:
            rows[fips] = _Row(
                "comparison", "fewer than five recorded declines in every year", last_year=DECLINES_UNTIL
            )
    return rows


def declines_onset(declines: pd.DataFrame, panel_table: pd.DataFrame, definition: Definition) -> pd.Series:
    """Return the first year in which each county reaches the threshold of a definition on recorded declines.

    Args:
        declines: table ``declines``.
        panel_table: county-years with ``population``, needed for a threshold by size alone.
        definition: one of the kind ``declines``.

    Returns:
        Year by ``county_fips``; counties that never reach it are absent.

    Example:
        >>> declines = pd.DataFrame({"county_fips": ["01001", "01001"], "year": [2013, 2014], "declined": [5,
        ...     9],
        ...                          "decline_share": [0.1, 0.5]})
        >>> int(declines_onset(declines, pd.DataFrame(), DEFINITIONS["declines_share25"])["01001"])
        2014
    """
    reached = (declines["declined"] >= FEWEST_DECLINES) & (declines["decline_share"] >= definition.share)
    if definition.per_10k:
        size = panel_table[["county_fips", "year", "population"]]
        merged = declines[["county_fips", "year"]].merge(
            size, on=["county_fips", "year"], how="left", validate="one_to_one"
        )
        people = merged["population"].to_numpy(dtype=float, na_value=np.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            reached &= declines["declined"].to_numpy() / people * 10_000 >= definition.per_10k
    return declines[reached].groupby("county_fips")["year"].min()


def _list_rows(
    definition: Definition, counties: pd.DataFrame, events: pd.DataFrame, declines: pd.DataFrame,
    panel_table: pd.DataFrame, options: _Options,
) -> dict[str, _Row]:  # fmt: skip
    listed = events[events["definition_source"] == definition.source]
    own, other = ("city", "county") if options.area == "city" else ("county", "city")
    named = set(listed.loc[listed["level"] == own, "county_fips"])
    beside = set(listed.loc[listed["level"] == other, "county_fips"])
    states = set(listed.loc[listed["level"] == "state", "state"])
    rows = {}
    for fips, state in counties.itertuples(index=False):
        if fips in named:
            rows[fips] = _Row("treated", definition.description, level=own, verified=True)
        elif fips in beside:
            only = "only the county of the city" if own == "city" else "only a city of the county"
            rows[fips] = _Row("excluded", f"{only} is listed")
        elif state in states:
            rows[fips] = _Row("excluded", "not listed in a listed state")
        else:
            rows[fips] = _Row("comparison", f"neither the {options.area} nor its state is listed")
    return rows


def _activation_rows(
    definition: Definition, counties: pd.DataFrame, events: pd.DataFrame, declines: pd.DataFrame,
    panel_table: pd.DataFrame, options: _Options,
) -> dict[str, _Row]:  # fmt: skip
    if ACTIVATION not in panel_table:
        raise TableError(
            f"the panel lacks {ACTIVATION}", "the share of each year's months in which it was active"
        )
    shares = panel_table[["county_fips", "year", ACTIVATION]].sort_values(["county_fips", "year"])
    active = {
        str(fips): dict(zip(part["year"], part[ACTIVATION], strict=True))
        for fips, part in shares.dropna().groupby("county_fips")
    }
    return {fips: _activated(active.get(fips), definition, options) for fips in counties["county_fips"]}


def _activated(share: Mapping[int, float] | None, definition: Definition, options: _Options) -> _Row:
    """When a county was activated, by the share of each year's months in which it was active."""
    if share is None:
        return _Row("excluded", "no record of its activation")
    year = next((int(year) for year, part in share.items() if part > 0), None)
    if year is None:
        return _Row("comparison", "not activated in the years of the panel")
    # Areas of several counties hold a weighted mean of their shares, which may miss one by rounding.
    whole = next((int(year) for year, part in share.items() if part > 1 - _ROUNDING), None)
    month = 13 - round(12 * float(share[year]))
    row = _Row(
        "treated", definition.description, f"{year}-{month:02d}", year, last_year=definition.outcomes_until,
        level="county", verified=True,
    )  # fmt: skip
    if options.onset == "adoption_year":
        return replace(row, cohort=year)
    if whole is None:
        return _excluded(row, "never active for a whole year")
    if whole == year:
        return replace(row, cohort=year)
    return replace(row, cohort=whole, transition_year=year, drop_from_year=year, drop_to_year=whole - 1)


_ROUNDING = 1e-9
_BUILDERS = {
    "policy": _policy_rows, "state": _state_rows, "user": _user_rows, "declines": _declines_rows,
    "list": _list_rows, "activation": _activation_rows,
}  # fmt: skip


def _in_force(row: _Row, options: _Options) -> _Row:
    """What a county is in the year of a cross-section."""
    year = options.year
    assert year is not None
    if row.status == "excluded":
        return row
    over = row.last_year is not None and row.last_year < year
    if row.status == "comparison":
        return (
            _Row("excluded", "a state law or the end of the records makes it unclear by then")
            if over
            else row
        )
    assert row.cohort is not None
    if over:
        return _excluded(row, "the limit had ended")
    if row.cohort <= year:
        return row
    if row.drop_from_year is not None and row.drop_from_year <= year:
        return _excluded(row, "adopted during the year, or limited in part by then")
    if options.comparison == "not_yet_treated":
        return _Row(
            "comparison",
            "adopts later",
            row.adoption_date,
            row.adoption_year,
            level=row.level,
            upper_bound=row.upper_bound,
            verified=row.verified,
        )
    return _excluded(row, "adopts later")


def _table(counties: pd.DataFrame, rows: Mapping[str, _Row]) -> pd.DataFrame:
    picked = [rows[fips] for fips in counties["county_fips"]]
    fields = {name: [getattr(row, name) for row in picked] for name in TABLE_COLUMNS[2:]}
    table = counties.assign(
        **{
            name: pd.array(values, dtype="Int64")
            if name in _YEARS
            else np.array(values, dtype=bool)
            if name in ("upper_bound", "verified")
            else pd.Series(values, dtype="object")
            for name, values in fields.items()
        }
    )
    return table[list(TABLE_COLUMNS)]


def _notes(
    definition: Definition,
    table: pd.DataFrame,
    events: pd.DataFrame,
    declines: pd.DataFrame,
    counties: pd.DataFrame,
    options: _Options,
) -> Iterable[str]:
    treated = table["status"] == "treated"
    if definition.kind in ("policy", "user"):
        known = events[(events["definition_source"] == definition.source) & events["county_fips"].notna()]
        outside = sorted(
            set(known.loc[known["level"] == "county", "county_fips"]) - set(counties["county_fips"])
        )
        if outside:
            yield f"{len(outside)} areas with a dated policy are not in the panel: {', '.join(outside[:5])}"
        cities = known.loc[
            (known["level"] == "city") & known["direction"].isin(LIMITS), "county_fips"
        ].nunique()
        if cities and options.area != "city":
            yield f"policies of cities in {cities} counties bind no county jail and treat none"
    bounds = int(table.loc[treated, "upper_bound"].sum())
    if bounds:
        yield f"rule 5: the dates of {bounds} treated counties are those of reports: upper bounds"
    if definition.kind == "policy":
        often = set(declines.loc[declines["declined"] >= FEWEST_DECLINES, "county_fips"])
        unlisted = int(((table["status"] == "comparison") & table["county_fips"].isin(often)).sum())
        if unlisted:
            yield (
                f"{unlisted} comparison counties have five or more recorded declines in a year "
                "and no documented limit"
            )
    ended = int((treated & table["last_year"].lt(options.last_panel_year).fillna(False)).sum())
    if ended and definition.outcomes_until is None:
        yield f"rows of {ended} treated counties end with a repeal or a law that requires cooperation"


# ------------------------------------------------------------------------------------------------------------
# Neighbours and placebos
# ------------------------------------------------------------------------------------------------------------


def adopters_touched(table: pd.DataFrame, neighbours: pd.DataFrame) -> pd.DataFrame:
    """Return which adopters each county touches, wherever the sample may leave them out.

    Args:
        table: ``county_fips, status`` of a `Treatment`.
        neighbours: ``county_fips, neighbour_fips``, each pair both ways.

    Returns:
        ``county_fips, adopter``: one row a county and adopter that touch.

    Raises:
        SampleError: the panel carries no neighbours.

    Example:
        >>> table = pd.DataFrame({"county_fips": ["55001", "55003"], "status": ["treated", "comparison"]})
        >>> pairs = pd.DataFrame({"county_fips": ["55001", "55003"], "neighbour_fips": ["55003", "55001"]})
        >>> adopters_touched(table, pairs).to_numpy().tolist()
        [['55003', '55001']]
    """
    if neighbours.empty:
        raise SampleError(
            "the panel carries no neighbours", "a panel with its geography", "Panel.geography.neighbours"
        )
    adopters = table.loc[table["status"].eq("treated"), "county_fips"]
    pairs = neighbours.rename(columns={"neighbour_fips": "adopter"})[["county_fips", "adopter"]]
    return pairs[pairs["adopter"].isin(adopters)].sort_values(["county_fips", "adopter"], ignore_index=True)


def expose_neighbours(
    treatment: Treatment,
    neighbours: pd.DataFrame,
    only: Collection[str] | None = None,
    left_out: Collection[str] = (),
) -> Treatment:
    """Return the treatment of a ring test: comparison counties that touch an adopter stand for it.

    A county is exposed from the earliest cohort among the adopters it touches, whatever their size and coverage, with
    that adopter's last year before and transition years. Exposure ends where the policies of all it
    touches have ended. Adopters are left out; counties that touch none stay what they were.

    Args:
        treatment: of a panel.
        neighbours: ``county_fips, neighbour_fips``, each pair both ways.
        only: states and counties whose adopters expose; counties that touch others alone are left out, since they
            are exposed too.
        left_out: states and counties the sample leaves out by name, as if ``only`` named all others.

    Raises:
        SampleError: no neighbours, or ``only`` holds what has no adopter.

    Assumes:
        what spreads from an adopter reaches the counties that touch it and no others.

    Example:
        >>> columns = dict.fromkeys(TABLE_COLUMNS)
        >>> rows = pd.DataFrame([
        ...     columns | {"county_fips": "55001", "state": "WI", "status": "treated", "cohort": 2014},
        ...     columns | {"county_fips": "55003", "state": "WI", "status": "comparison"}])
        >>> rows = rows.astype(dict.fromkeys(_YEARS, "Int64"))
        >>> pairs = pd.DataFrame({"county_fips": ["55003"], "neighbour_fips": ["55001"]})
        >>> made = expose_neighbours(Treatment(definition_of("policy_full"), "panel", rows, ()), pairs)
        >>> made.table[["county_fips", "status", "cohort"]].to_numpy().tolist()
        [['55001', 'excluded', <NA>], ['55003', 'treated', 2014]]
    """
    table = treatment.table
    touched = adopters_touched(table, neighbours)
    adopters = table[table["status"].eq("treated")].set_index("county_fips", drop=False)
    others = adopters["state"].isin(list(left_out)) | adopters.index.isin(list(left_out))
    counted = adopters[~others]
    named = set(counted.index[in_areas(counted, only)] if only else counted.index)
    rows = {fips: _Row("excluded", "adopter, left out of the ring test") for fips in adopters.index}
    own_end = table.loc[table["status"].eq("comparison")].set_index("county_fips")["last_year"]
    for fips, near in touched[touched["county_fips"].isin(own_end.index)].groupby("county_fips")["adopter"]:
        if named.isdisjoint(near):
            rows[fips] = _Row("excluded", "touches other adopters alone")
        else:
            rows[fips] = _exposed(adopters.loc[near], own_end[fips])
    changed = table["county_fips"].isin(list(rows))
    counties = table.loc[changed, ["county_fips", "state"]].reset_index(drop=True)
    made = pd.concat([table[~changed].astype("object"), _table(counties, rows).astype("object")])
    made = made.sort_values("county_fips", ignore_index=True).astype(
        dict.fromkeys(_YEARS, "Int64") | dict.fromkeys(("upper_bound", "verified"), bool)
    )
    counts = made["status"].value_counts()
    note = (
        f"ring test: {counts.get('treated', 0):,} comparison counties touch one of {len(named):,} adopters and stand for "
        f"them, {counts.get('comparison', 0):,} touch no adopter and are compared; all {len(adopters):,} adopters are left out"
    )
    return Treatment(treatment.definition, treatment.kind, made, (*treatment.notes, note))


def _exposed(near: pd.DataFrame, own_end: object) -> _Row:
    """A county's exposure to the adopters it touches."""
    order = near.assign(first=first_affected(near)).sort_values(["cohort", "first"])
    rows = [_Row(**{name: _plain(part[name]) for name in TABLE_COLUMNS[2:]}) for _, part in order.iterrows()]
    first = rows[0]
    end = first.last_year
    for row in rows[1:]:
        # A policy that takes over without a gap prolongs the exposure.
        if end is not None and row.cohort is not None and row.cohort <= end + 1:
            end = None if row.last_year is None else max(end, row.last_year)
    ends = [int(year) for year in (end, _plain(own_end)) if year is not None]
    row = replace(first, reason="touches an adopter", last_year=min(ends) if ends else None)
    if row.cohort is not None and row.last_year is not None and row.last_year < row.cohort:
        return _Row("excluded", "its status is unclear before its first exposed year")
    return row


def shift_back(treatment: Treatment, years: int, anticipation: int = 0) -> Treatment:
    """Return the treatment of a placebo: adoption moved back, and nothing known of a county from the true one on.

    The last ``years`` years wholly before a county's adoption, and before its anticipation, count as treated. The
    moved adoption is as of 1 January: nothing happened in it, so that no part of a year has to be dropped.

    Args:
        treatment: of a panel.
        years: how far back, in years.
        anticipation: years before adoption in which the policy may already act.

    Example:
        Adopted in June 2014: 2014 is dropped in any case; moved back two years, 2012 and 2013 count as treated.

        >>> columns = dict.fromkeys(TABLE_COLUMNS)
        >>> rows = pd.DataFrame([columns | {"county_fips": "55001", "status": "treated", "cohort": 2015,
        ...     "drop_from_year": 2014, "drop_to_year": 2014}]).astype(dict.fromkeys(_YEARS, "Int64"))
        >>> made = shift_back(Treatment(definition_of("policy_full"), "panel", rows, ()), 2)
        >>> made.table[["cohort", "last_year"]].to_numpy().tolist()
        [[2012, 2013]]
    """
    table = treatment.table.copy()
    treated = table["status"].eq("treated")
    first = first_affected(table)[treated] - anticipation
    table.loc[treated, "cohort"] = first - years
    table.loc[treated, "last_year"] = first - 1
    table.loc[treated, ["transition_year", "drop_from_year", "drop_to_year"]] = pd.NA
    words = "year" if years == 1 else "years"
    note = f"placebo: adoption in {int(treated.sum()):,} counties moved back to {years} {words} before the true one"
    return Treatment(treatment.definition, treatment.kind, table, (*treatment.notes, note))


def first_affected(table: pd.DataFrame) -> pd.Series:
    """Return the first year of each county that is not wholly before its adoption, missing for those that never adopt.

    Args:
        table: ``cohort, drop_from_year`` (Int64).

    Example:
        >>> first_affected(pd.DataFrame({"cohort": [2015], "drop_from_year": [2011]}, dtype="Int64")).tolist()
        [2011]
    """
    return table[["cohort", "drop_from_year"]].min(axis=1).astype("Int64").where(table["cohort"].notna())


def _plain(value: Any) -> Any:
    return None if pd.isna(value) else value


# ------------------------------------------------------------------------------------------------------------
# Report
# ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Count:
    definition: str
    kind: str
    what: str
    value: str
    counties: int
    states: int


def treatment_summary(treatment: Treatment) -> pd.DataFrame:
    """Return the counts behind a treatment: treated, by cohort, comparisons, and why the rest is excluded.

    Returns:
        ``definition, kind, what`` (treated, cohort, comparison, excluded), ``value`` (cohort or reason),
        ``counties, states``. The rows treated, comparison and excluded sum to the panel's counties.

    Example:
        >>> made = make_treatment(panel, policies, declines, "policy_any", **options)  # doctest: +SKIP
        >>> treatment_summary(made).query("what == 'treated'")["counties"].item()  # doctest: +SKIP
    """
    table = treatment.table
    treated = table[table["status"] == "treated"]
    parts: list[tuple[str, str, pd.DataFrame]] = [("treated", "", treated)]
    parts += [("cohort", str(cohort), part) for cohort, part in treated.groupby("cohort")]
    parts += [("comparison", str(reason), part) for reason, part in _reasons(table, "comparison")]
    parts += [("excluded", str(reason), part) for reason, part in _reasons(table, "excluded")]
    rows = [
        _Count(treatment.definition.name, treatment.kind, what, value, len(part), part["state"].nunique())
        for what, value, part in parts
    ]
    return pd.DataFrame([{name: getattr(row, name) for name in _Count.__slots__} for row in rows])


def _reasons(table: pd.DataFrame, status: str) -> Iterable[tuple[object, pd.DataFrame]]:
    return table[table["status"] == status].groupby("reason", sort=True)
