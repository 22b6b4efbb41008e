"""Declined detainers in the agency's records, beside a count of them in the press, and what the weeks between can hold.

The press count of 2016 runs from January 2014 to September 2015, the records at hand to 19 July 2015. What is missing is a
difference of two counts of different days: it bounds what the last weeks can hold and cannot say what they held, for an
outcome may be entered long after its detainer. Counts of the whole record carry no sampling error, and none is stated.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

import numpy as np
import pandas as pd

from analysis.base.errors import TableError

PRESS_DECLINED, PRESS_PLACES = "context.declined_18646", "context.texas_tribune_165"
"""Registered figures of the press account: declined detainers of January 2014 to September 2015, and cities and counties
with a policy, at least so many."""
PRESS_SHARE = "context.declined_california_share"
"""California's share of the first, per cent, "almost" so many; told where it is registered."""
PRESS_FIRST, PRESS_LAST = date(2014, 1, 1), date(2015, 9, 30)
RECORDS_LAST = date(2015, 7, 19)

COUNTY, NOT_LOCAL, UNMATCHED, NO_STATE = "county", "not local", "unmatched", "no state"
PLACES = (COUNTY, NOT_LOCAL, UNMATCHED, NO_STATE)
"""Where a record stands: a county's own; at a federal, state or youth facility of a county; in no county; in no state."""
DECLINED_OUTCOME = "Detainer Declined by LEA"
EVERYWHERE, MOST, NEXT = "all", "CA", "the state after it"

RECORDED, PUBLISHED, GAP, HELD, LATE, SHARE = (
    "recorded", "published", "gap", "held at a pace", "late outcomes", "share",
)  # fmt: skip
KINDS = (RECORDED, PUBLISHED, GAP, HELD, LATE, SHARE)
THRESHOLDS = (1, 2, 3, 5, 10, 25)

RECORDS: Mapping[str, str] = {
    "year": "of the detainer; 2007 begins in October, 2015 ends on 19 July",
    "state": "postal code; '' where the record has none",
    "place": "one of PLACES",
    "declined": "detainers whose outcome is that the agency declined",
    "facilities": "names of facilities behind them",
}
WEEKS: Mapping[str, str] = {
    "kind": "recorded, published, gap, held at a pace, late outcomes, share",
    "area": "all, CA, or the state after it",
    "what": "in words",
    "first": "first day, ISO date",
    "last": "last day, ISO date",
    "days": "days from first to last, both counted",
    "declined": "declined detainers, or the value where low and high are none",
    "low": "least the bound allows",
    "high": "most the bound allows",
    "per_week": "declined over days, times seven",
    "issued": "detainers issued in the period; missing where no record says",
    "per_issued": "declined over issued",
    "without_outcome": "issued detainers without an outcome on record when it was released",
}
PLACES_COUNTED: Mapping[str, str] = {
    "kind": "declines (of the records), documented, or published",
    "at_least": "fewest declined detainers that count; missing elsewhere",
    "places": "counties; in the published row cities and counties",
    "difference": "places less the published number",
}


def detainer_records(records: pd.DataFrame, facilities: pd.DataFrame) -> pd.DataFrame:
    """Return recorded declines by year, state and where they could be placed: every one of them, none dropped.

    Args:
        records: facility records (`analysis.panel.sources.detainers.read_facility_records`): ``year, facility, city, state,
            declined``; the state is missing where the record has none.
        facilities: where each lies (`place_facilities`): ``facility, city, state, county_fips, runs``.

    Returns:
        Columns ``RECORDS``, sorted; ``declined`` sums to that of the records.

    Raises:
        TableError: a facility that was never looked up, or twice.

    Example:
        >>> records = pd.DataFrame({"year": [2014, 2014], "facility": ["ELM CO JAIL", "OTHER"], "city": ["OAK", None],
        ...     "state": ["OH", None], "declined": [6, 4]})
        >>> facilities = records[["facility", "city", "state"]].assign(county_fips=["39001", None], runs="local")
        >>> detainer_records(records, facilities)[["state", "place", "declined"]].values.tolist()
        [['', 'no state', 4], ['OH', 'county', 6]]
    """
    key = ["facility", "city", "state"]
    if facilities.duplicated(key).any():
        raise TableError("a facility stands twice", "one row a facility, city and state", "facilities")
    joined = records.merge(facilities[[*key, "county_fips", "runs"]], on=key, how="left", indicator=True)
    if (joined["_merge"] != "both").any():
        name = joined.loc[joined["_merge"] != "both", "facility"].iloc[0]
        raise TableError(f"'{name}' was never looked up", "every facility of the records", "facilities")
    place = np.select(
        [joined["state"].isna(), joined["county_fips"].isna(), joined["runs"].ne("local")],
        [NO_STATE, UNMATCHED, NOT_LOCAL], COUNTY,
    )  # fmt: skip
    grouped = joined.assign(state=joined["state"].fillna(""), place=place).groupby(
        ["year", "state", "place"], sort=True
    )
    out = grouped.agg(declined=("declined", "sum"), facilities=("facility", "nunique")).reset_index()
    return out[list(RECORDS)]


def registered(published: pd.DataFrame, figure: str) -> int:
    """Return a registered count.

    Args:
        published: the registry: ``id, estimate``.
        figure: its identifier.

    Raises:
        TableError: it is not registered, or no whole number.

    Example:
        >>> registered(pd.DataFrame({"id": [PRESS_PLACES], "estimate": [165.0]}), PRESS_PLACES)
        165
    """
    found = published.loc[published["id"] == figure, "estimate"].tolist()
    if len(found) != 1 or pd.isna(found[0]) or float(found[0]) != int(found[0]):
        raise TableError(f"{figure} is registered as {found}", "one whole number", "data/published.yaml")
    return int(found[0])


def days_between(first: date, last: date) -> int:
    """Return days from the first to the last, both counted.

    Example:
        >>> days_between(date(2015, 7, 20), date(2015, 9, 30))
        73
    """
    return (last - first).days + 1


def issued_between(months: pd.DataFrame, first: date, last: date) -> int:
    """Return detainers issued in the months from a first day to a last, which must be whole months of the records.

    Args:
        months: ``year_month`` as 2014-01, ``count``.
        first: first day of a month.
        last: last day of a month, or the day the records end.

    Raises:
        TableError: a month between them is absent.

    Example:
        >>> months = pd.DataFrame({"year_month": ["2014-01", "2014-02"], "count": [5, 7]})
        >>> issued_between(months, date(2014, 1, 1), date(2014, 2, 28))
        12
    """
    wanted = [str(month) for month in pd.period_range(first, last, freq="M")]
    by_month = months.set_index("year_month")["count"]
    absent = [month for month in wanted if month not in by_month.index]
    if absent:
        raise TableError(
            f"no count of {absent[0]}", f"every month from {wanted[0]} to {wanted[-1]}", "months"
        )
    return int(by_month.loc[wanted].sum())


def detainer_weeks(
    records: pd.DataFrame, months: pd.DataFrame, outcomes: pd.DataFrame, published: pd.DataFrame
) -> pd.DataFrame:
    """Return the press count beside the records', and bounds on what the weeks after the records' end can hold.

    Let G be the press count less the records' over the same first day. The weeks from 20 July to 30 September 2015 hold at
    least none of G and at most all of it. Four paces say how many they would hold if declines had gone on as in 2014, or as
    in 2015, by the week or by the detainer issued (with detainers issued as in 1-19 July 2015). ``late outcomes`` says how
    many declines would come from detainers that had no outcome on record, if their outcomes were as those on record. Shares
    of California, and the most the state after it can have, are bounds over every way to place G and the records without a
    state.

    Args:
        records: of `detainer_records`.
        months: detainers issued: ``year_month``, ``count``.
        outcomes: detainers with an outcome: ``year``, ``lift_reason``, ``count``.
        published: the registry: ``id, estimate``.

    Returns:
        Columns ``WEEKS``: rows of the kinds ``KINDS``, areas ``all``, ``CA`` and the state after it. ``low`` and ``high``
        are missing where a number is a count. ``per_week`` is declined over days times seven, exact.

    Raises:
        TableError: a year, a month or the registered count is absent, or no state but California has a record.

    Assumption: year is that of the detainer in all three tables, and both counts are of detainers of the same days. Neither
    is documented. No pace is a forecast.

    Example:
        >>> weeks = detainer_weeks(records, months, outcomes, published)  # doctest: +SKIP
    """
    since = records[records["year"] >= PRESS_FIRST.year]
    declined = {year: int(since.loc[since["year"] == year, "declined"].sum()) for year in (2014, 2015)}
    for year, found in declined.items():
        if not found:
            raise TableError(f"no decline of {year}", "records of 2014 and 2015", "records")
    spans = {
        2014: (date(2014, 1, 1), date(2014, 12, 31)),
        2015: (date(2015, 1, 1), RECORDS_LAST),
    }
    issued = {year: issued_between(months, *spans[year]) for year in spans}
    resolved = {year: int(outcomes.loc[outcomes["year"] == year, "count"].sum()) for year in spans}
    agreed = outcomes[outcomes["lift_reason"] == DECLINED_OUTCOME].set_index("year")["count"]
    if not set(spans) <= set(agreed.index):
        raise TableError(
            f"no '{DECLINED_OUTCOME}' of 2014 and 2015", "that outcome in both years", "outcomes"
        )

    total = sum(declined.values())
    press_count = registered(published, PRESS_DECLINED)
    gap = press_count - total
    gap_days = (RECORDS_LAST + timedelta(days=1), PRESS_LAST)
    july = (date(2015, 7, 1), RECORDS_LAST)
    july_pace = issued_between(months, *july) / days_between(*july)
    rows = [
        _row(
            RECORDED, EVERYWHERE, f"records of {year}", spans[year], declined[year],
            issued=issued[year], without_outcome=issued[year] - resolved[year],
        )
        for year in spans
    ]  # fmt: skip
    both = (PRESS_FIRST, RECORDS_LAST)
    rows += [
        _row(
            RECORDED, EVERYWHERE, "records from January 2014", both, total,
            issued=sum(issued.values()), without_outcome=sum(issued.values()) - sum(resolved.values()),
        ),
        _row(PUBLISHED, EVERYWHERE, "press account of 2016", (PRESS_FIRST, PRESS_LAST), press_count),
        _row(GAP, EVERYWHERE, "published less recorded", gap_days, gap, low=min(0, gap), high=gap),
    ]  # fmt: skip
    in_weeks = days_between(*gap_days)
    to_come = july_pace * in_weeks
    for year in spans:
        pace = declined[year] / days_between(*spans[year])
        rows.append(_row(HELD, EVERYWHERE, f"declines a week of {year}", gap_days, pace * in_weeks))
        per_issued = declined[year] / issued[year]
        rows.append(
            _row(HELD, EVERYWHERE, f"declines a detainer of {year}, detainers of July 2015", gap_days,
                 per_issued * to_come, issued=to_come)
        )  # fmt: skip
    late = {year: (issued[year] - resolved[year]) * int(agreed[year]) / resolved[year] for year in spans}
    rows.append(
        _row(LATE, EVERYWHERE, "detainers without an outcome, if declined as often as the others", both,
             sum(late.values()), low=0.0, high=sum(issued.values()) - sum(resolved.values()),
             without_outcome=sum(issued.values()) - sum(resolved.values()))
    )  # fmt: skip
    rows += _by_state(since, gap, both, spans)
    if published["id"].eq(PRESS_SHARE).any():
        share = registered(published, PRESS_SHARE) / 100
        rows.append(_row(SHARE, MOST, "as published, almost", (PRESS_FIRST, PRESS_LAST), share))
    return pd.DataFrame(rows, columns=list(WEEKS))


def _by_state(
    since: pd.DataFrame, gap: int, both: tuple[date, date], spans: Mapping[int, tuple[date, date]]
) -> list[dict[str, object]]:
    """Return California's counts and shares, and the most the state after it can have."""
    by_state = since.groupby("state")["declined"].sum()
    stateless = int(by_state.get("", 0))
    named = by_state.drop(index="", errors="ignore")
    others = named.drop(index=MOST, errors="ignore")
    if MOST not in named.index or others.empty:
        raise TableError("records of fewer than two states", "California's and another's", "records")
    most, next_most = int(named[MOST]), int(others.max())
    total, open_ = int(by_state.sum()), max(gap, 0)
    of_year = since[since["state"] == MOST].groupby("year")["declined"].sum()
    press = (PRESS_FIRST, PRESS_LAST)
    return [
        *(
            _row(RECORDED, MOST, f"records of {year}", spans[year], int(of_year.get(year, 0)))
            for year in spans
        ),
        _row(RECORDED, MOST, "records from January 2014", both, most),
        _row(RECORDED, NEXT, "records from January 2014", both, next_most),
        _row(GAP, MOST, "with none or all of the gap", press, None, low=most, high=most + open_),
        _row(GAP, MOST, "with none or all of the gap and of the records without a state", press, None,
             low=most, high=most + open_ + stateless),
        _row(GAP, NEXT, "with none or all of the gap and of the records without a state", press, None,
             low=next_most, high=next_most + open_ + stateless),
        _row(SHARE, MOST, "of all records", both, most / total),
        _row(SHARE, MOST, "of records with a state", both, most / int(named.sum())),
        _row(SHARE, MOST, "of the published count", press, None, low=most / (total + open_),
             high=(most + open_ + stateless) / (total + open_)),
    ]  # fmt: skip


def _row(
    kind: str, area: str, what: str, days: tuple[date, date], declined: float | None, *, low: float | None = None,
    high: float | None = None, issued: float | None = None, without_outcome: float | None = None,
) -> dict[str, object]:  # fmt: skip
    first, last = days
    long = days_between(first, last)
    paced = declined is not None and kind not in (SHARE, LATE)
    return {
        "kind": kind, "area": area, "what": what, "first": first.isoformat(), "last": last.isoformat(), "days": long,
        "declined": declined, "low": low, "high": high,
        "per_week": 7 * declined / long if paced and declined is not None else None,
        "issued": issued,
        "per_issued": declined / issued if issued and declined is not None else None,
        "without_outcome": without_outcome,
    }  # fmt: skip


def places_counted(declines: pd.DataFrame, policies: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Return counties with recorded declines, by how many, and counties with a documented limit, beside the press number.

    A decline is no policy and a policy no decline: the press number lies between thresholds, or it does not.

    Args:
        declines: tidy table ``declines``: ``county_fips, year, declined``.
        policies: tidy table ``policy_events``: ``definition_source, level, county_fips, direction, date``.
        published: the registry: ``id, estimate``.

    Returns:
        Columns ``PLACES_COUNTED``: declines from January 2014 for each of ``THRESHOLDS``; counties whose own limit (D2) is
        dated by the end of September 2015, at least to the year; the press number.

    Example:
        >>> declines = pd.DataFrame({"county_fips": ["39001", "39001"], "year": [2013, 2014], "declined": [9, 2]})
        >>> policies = pd.DataFrame({"definition_source": ["D2"], "level": ["county"], "county_fips": ["39001"],
        ...     "direction": ["limit_full"], "date": ["2014-05"]})
        >>> published = pd.DataFrame({"id": [PRESS_PLACES], "estimate": [165.0]})
        >>> places_counted(declines, policies, published)["places"].tolist()
        [165, 1, 1, 0, 0, 0, 0, 1]
    """
    since = declines[declines["year"] >= PRESS_FIRST.year].groupby("county_fips")["declined"].sum()
    own = policies["definition_source"].eq("D2") & policies["level"].eq("county")
    limits = policies[own & policies["direction"].isin(["limit_full", "limit_partial"])]
    # A date known to the year alone counts from that year: text compares as far as it goes.
    last = PRESS_LAST.isoformat()
    in_time = limits["date"].fillna("9999").astype(str).map(lambda text: text <= last[: len(text)])
    press_places = registered(published, PRESS_PLACES)
    counted = [
        ("published", np.nan, press_places),
        *(("declines", fewest, int((since >= fewest).sum())) for fewest in THRESHOLDS),
        ("documented", np.nan, int(limits.loc[in_time, "county_fips"].nunique())),
    ]
    rows = [(kind, fewest, places, places - press_places) for kind, fewest, places in counted]
    return pd.DataFrame(rows, columns=list(PLACES_COUNTED))


CLASS_COUNTS: Mapping[str, str] = {
    "version": "of the urban-rural scheme: 2006 or 2013",
    "urban_class": "its class",
    "counties": "counties of that class in the study's frame",
    "figure": "identifier of the registered figure, '' where none is",
    "registered": "counties registered; missing where none is",
    "confidence": "how sure the registered figure is",
    "difference": "counties less registered",
}
CLASSES = (
    "large_central_metro", "large_fringe_metro", "medium_metro", "small_metro", "micropolitan", "noncore",
)  # fmt: skip


def class_counts(classes: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Return counties by urban-rural class in our frame, beside the registered counts of both versions of the scheme.

    Args:
        classes: tidy table ``urban_classes``: ``county_fips, urban_class_2006, urban_class_2013``, one row a county.
        published: the registry: ``id, estimate, confidence``.

    Returns:
        Columns ``CLASS_COUNTS``: a row a version and class.

    Raises:
        TableError: a county stands twice.

    Example:
        >>> classes = pd.DataFrame({"county_fips": ["01001"], "urban_class_2006": ["noncore"], "urban_class_2013": ["noncore"]})
        >>> published = pd.DataFrame({"id": ["nchs2013.n.noncore"], "estimate": [3.0], "confidence": ["from memory"]})
        >>> class_counts(classes, published)[["counties", "registered", "difference"]].to_numpy()[-1].tolist()
        [1.0, 3.0, -2.0]
    """
    if classes["county_fips"].duplicated().any():
        raise TableError("a county stands twice", "one row a county", "urban_classes")
    known = published.set_index("id")
    rows = []
    for version in (2006, 2013):
        counts = classes[f"urban_class_{version}"].value_counts()
        for name in CLASSES:
            figure = f"nchs{version}.n.{name}"
            there = figure in known.index
            registered = float(known.loc[figure, "estimate"]) if there else np.nan
            counties = int(counts.get(name, 0))
            rows.append(
                (version, name, counties, figure if there else "", registered,
                 str(known.loc[figure, "confidence"]) if there else "", counties - registered)
            )  # fmt: skip
    return pd.DataFrame(rows, columns=list(CLASS_COUNTS))
