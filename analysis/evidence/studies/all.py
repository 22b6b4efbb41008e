"""Every published study of the registry, in the order of the ledger: those the study heads with first."""

from __future__ import annotations

from analysis.evidence.studies import (
    biasi2018,
    gonzalezobrien2019,
    hausman2020,
    ice_records2016,
    martinezschuldt2019,
    milescox2014,
    others,
    otsu2021,
    treyger2014,
    trust,
    wong2017,
)
from analysis.evidence.studies.record import PublishedStudy

HEADED: tuple[PublishedStudy, ...] = (
    wong2017.STUDY,
    gonzalezobrien2019.STUDY,
    hausman2020.STUDY,
    biasi2018.STUDY,
    milescox2014.STUDY,
)
"""Studies with a section of the paper and specifications beside their headline figures."""

RECORDS: tuple[PublishedStudy, ...] = (ice_records2016.STUDY,)
OTHERS: tuple[PublishedStudy, ...] = (
    *treyger2014.STUDIES,
    martinezschuldt2019.STUDY,
    otsu2021.STUDY,
    *trust.STUDIES,
    *others.STUDIES,
)
STUDIES: tuple[PublishedStudy, ...] = (*HEADED, *RECORDS, *OTHERS)

GRIDS: tuple[str, ...] = tuple(dict.fromkeys(name for one in STUDIES for name in one.grids))
"""Files of ``analysis/specs`` that hold a study's grid."""
SPEC_FILES: tuple[str, ...] = tuple(dict.fromkeys(name for one in STUDIES for name in one.specs))
"""Files that re-do a study's design without one."""
