"""What a published study did, and which specifications of this study stand beside each of its registered figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import pandas as pd

from analysis.base.errors import StudyError
from analysis.evidence.claims import AREAS, METHOD_FAMILIES
from analysis.evidence.results import ONE_EFFECT

UNITS_ASKED = ("per_100k", "per_10k", "log_points", "percent", "as_measured")
"""Units a figure is compared in; ``as_measured`` is that of a direct measure: dollars, percentage points, shares."""

AREAS_STUDIED = (*AREAS, "state", "tract", "person")
OTHER_METHODS = ("before_after", "synthetic_control", "regression", "survey", "description", "records")
METHODS_STUDIED = (*METHOD_FAMILIES, *OTHER_METHODS)

FAMILY_OF_ESTIMATOR: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(
            ("group_time_att", "imputation", "two_stage", "interaction_weighted", "stacked", "extended_two_way",
             "local_projections"), "staggered",
        ),
        **dict.fromkeys(("two_way", "poisson", "two_by_two"), "two_way"),
        "matched_did": "matched changes",
        "border_pairs": "border",
        "before_after": "before_after",
        **dict.fromkeys(("synthetic_control", "synthetic_did"), "synthetic"),
    }
)  # fmt: skip
"""Family of a specification outside grids; every estimator that is not here matches or weights a cross-section."""


def family_of(estimator: str) -> str:
    """Return the family of an estimator.

    Example:
        >>> family_of("imputation"), family_of("genetic_match")
        ('staggered', 'matching')
    """
    return FAMILY_OF_ESTIMATOR.get(estimator, "matching")


@dataclass(frozen=True, slots=True)
class Ask:
    """One registered figure, and the specifications that answer it.

    Args:
        figure: identifier in ``data/published.yaml``.
        measures: measures of the codebook that mean the same.
        unit: one of ``UNITS_ASKED``, in which both stand side by side.
        main: name of the specification whose estimate stands in the figure's row of the ledger.
        near: measure and how it differs, for measures that are close.
        only: column of the results to the values of rows that answer; all rows of the study's specifications where empty.
        headline: whether the figure is one the study is known for.
        null: whether the study reports no discernible effect here (a published null).
        sign: 1 or -1 where a direction was published and no size; 0 otherwise.
        note: what a reader must know about the comparison.
        own_list: names of specifications that are run on the study's own list where a user has it; ``main`` where empty.
    """

    figure: str
    measures: tuple[str, ...]
    unit: str
    main: str
    near: tuple[tuple[str, str], ...] = ()
    only: Mapping[str, tuple[Any, ...]] = field(default_factory=lambda: MappingProxyType({}))
    headline: bool = False
    null: bool = False
    sign: int = 0
    note: str = ""
    own_list: tuple[str, ...] = ()

    def rows(self, results: pd.DataFrame) -> pd.DataFrame:
        """Return the results that answer: one effect, a measure asked for, every condition met; failures stay.

        Args:
            results: estimates of the study's specifications, columns of `analysis.evidence.results.COLUMNS` and more.

        Raises:
            StudyError: a condition on a column the results lack.
        """
        absent = sorted(set(self.only) - set(results.columns))
        if absent:
            raise StudyError(
                f"{self.figure}: asks for the column '{absent[0]}'", "a column of the results", "the study's module"
            )  # fmt: skip
        kept = results["measure"].isin([*self.measures, *(name for name, _ in self.near)])
        kept &= results["estimand"].isin(ONE_EFFECT) | results["failure"].ne("")
        for column, values in self.only.items():
            kept &= results[column].isin(list(values))
        return results[kept]


@dataclass(frozen=True, slots=True)
class PublishedStudy:
    """One published study.

    Args:
        name: short name, which its identifiers begin with unless ``prefixes`` says otherwise.
        authors: as cited.
        year: of publication.
        first_public: year it was first public.
        venue: where.
        area: one of ``AREAS_STUDIED``, what a row of its data is.
        policy_list: whose policies counted, in words.
        outcome_years: first and last year of its outcomes.
        method_family: one of ``METHODS_STUDIED``.
        method_seen: whether its settings were read; where not, no estimate can be said to share its method.
        design: the published design, one paragraph.
        known: what was read of it, a sentence each.
        chosen: what had to be chosen here, a sentence each, with the reason.
        reading: what its result would mean if reporting moved, and if crime did.
        specs: files of ``analysis/specs`` that re-do its design.
        grids: files of ``analysis/specs`` that hold a grid.
        asks: figures with specifications beside them.
        apart: identifier to the reason why no estimate stands beside it; a trailing ``*`` stands for every identifier that
            begins so and is not asked for.
        prefixes: beginnings of its identifiers; by default its name and a dot.
    """

    name: str
    authors: str
    year: int
    first_public: int
    venue: str
    area: str
    policy_list: str
    outcome_years: tuple[int, int]
    method_family: str
    method_seen: bool
    design: str
    known: tuple[str, ...]
    chosen: tuple[str, ...]
    reading: str
    specs: tuple[str, ...] = ()
    grids: tuple[str, ...] = ()
    asks: tuple[Ask, ...] = ()
    apart: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    prefixes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse words outside the lists, and a figure asked for twice."""
        for value, known, what in (
            (self.area, AREAS_STUDIED, "area"),
            (self.method_family, METHODS_STUDIED, "method_family"),
            *((ask.unit, UNITS_ASKED, f"unit of {ask.figure}") for ask in self.asks),
        ):
            if value not in known:
                raise StudyError(
                    f"{self.name}: {what} = '{value}'", f"one of {', '.join(known)}", "its module"
                )
        ids = [ask.figure for ask in self.asks]
        again = sorted({one for one in ids if ids.count(one) > 1})
        if again:
            raise StudyError(f"{self.name}: {again[0]} is asked for twice", "each figure once", "its module")

    @property
    def label(self) -> str:
        """Authors and year."""
        return f"{self.authors} {self.year}"

    def owns(self, figure: str) -> bool:
        """Return whether an identifier of the registry is this study's."""
        return figure.startswith(self.prefixes or (f"{self.name}.",))

    def ask(self, figure: str) -> Ask | None:
        """Return what is asked beside a figure, or None."""
        return next((ask for ask in self.asks if ask.figure == figure), None)

    def reason(self, figure: str) -> str:
        """Return why no estimate stands beside a figure; "" where one does.

        Raises:
            StudyError: the study neither asks beside the figure nor says why not.
        """
        if self.ask(figure) is not None:
            return ""
        if figure in self.apart:
            return self.apart[figure]
        starred = [key for key in self.apart if key.endswith("*") and figure.startswith(key[:-1])]
        if not starred:
            raise StudyError(
                f"{figure} is registered, and {self.name} neither asks beside it nor says why not",
                "an Ask, or a reason in `apart`", f"analysis/evidence/studies, the module of {self.name}",
            )  # fmt: skip
        return self.apart[max(starred, key=len)]


def study_of(figure: str, studies: Sequence[PublishedStudy]) -> PublishedStudy:
    """Return the study a registered figure belongs to.

    Raises:
        StudyError: none owns it.
    """
    for study in studies:
        if study.owns(figure):
            return study
    raise StudyError(
        f"no study owns the registered figure '{figure}'", "a module of analysis/evidence/studies with its prefix",
        "data/published.yaml",
    )  # fmt: skip
