"""The authors' own lists of places, where a user has them: the specifications of a study, run on its own list.

None of these lists can come with the study. A csv of policy dates in ``data/lists``, named after the study
(``gonzalezobrien2019.csv``), in the format of ``docs/user_files.md``, adds to the ledger one specification for each that
answers a registered figure, with the list's dates in place of a definition of ours; nothing else changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from analysis.base.city_names import read_city_dates
from analysis.base.errors import SourceError, nearest
from analysis.base.policy_dates import read_user_policies
from analysis.design.spec import Spec
from analysis.evidence.studies.record import Ask, PublishedStudy

OWN_LIST = "own-list"
"""What the names of specifications on a study's own list end with."""


def own_lists(folder: Path, studies: Sequence[PublishedStudy]) -> dict[str, Path]:
    """Return the lists at hand, by the name of their study.

    Args:
        folder: where a user puts them; it need not exist.
        studies: whose names the files bear.

    Raises:
        SourceError: a csv named after no study.

    Example:
        >>> own_lists(Path("nowhere"), [])
        {}
    """
    known = [study.name for study in studies]
    found = {}
    for path in sorted(folder.glob("*.csv")):
        if path.stem not in known:
            raise SourceError(
                f"{path.name} is named after no published study{nearest(path.stem, known)}",
                f"one of {', '.join(f'{name}.csv' for name in known)}", folder.name,
            )  # fmt: skip
        found[path.stem] = path
    return found


def on_own_list(study: PublishedStudy, ask: Ask, spec: Spec, path: Path) -> Spec:
    """Return a specification with a list's dates in place of a definition of ours.

    Args:
        study: whose list it is.
        ask: the registered figure it answers.
        spec: without a grid.
        path: csv of policy dates.

    Raises:
        SourceError: no adoption of the list lies in the window: for a panel after its first year and not after its last,
            for a cross-section by its year; the message names the registered figure.
        TableError: the csv breaks its contract.
    """
    policies = read_city_dates(path) if spec.design.area == "city" else read_user_policies(path)
    limits = policies[policies["direction"].isin(["limit_full", "limit_partial"])]
    first, last = spec.years[0], spec.years[-1]
    panel = spec.design.kind == "panel"
    inside = limits["year"].le(last) & (limits["year"].gt(first) | (not panel))
    if not inside.any():
        dated = (
            f"dates of {limits['year'].min()}-{limits['year'].max()}" if len(limits) else "no limit at all"
        )
        window = f"after {first} and by {last}" if panel else f"by {last}"
        raise SourceError(
            f"{ask.figure}: {path.name} holds {dated}, and {study.label} needs a policy adopted {window}",
            "at least one date in the window", path.name,
        )  # fmt: skip
    own = {"name": f"{spec.name}/{OWN_LIST}", "status": "added", "treatment.definition": path.name}
    return replace(spec, folder=str(path.parent)).replace(own)


def own_list_specs(
    studies: Sequence[PublishedStudy], lists: dict[str, Path], specs: Iterable[Spec]
) -> list[tuple[str, Spec]]:
    """Return name of the study and specification for every list at hand and every figure it can answer, each once.

    Args:
        studies: those asked of.
        lists: from `own_lists`.
        specs: the studies' specifications, without grids, by whose names their asks know them.
    """
    by_name = {spec.name: spec for spec in specs}
    made: dict[str, tuple[str, Spec]] = {}
    for study in studies:
        if study.name not in lists:
            continue
        for ask in study.asks:
            for name in ask.own_list or (ask.main,):
                if name in by_name:
                    own = on_own_list(study, ask, by_name[name], lists[study.name])
                    made.setdefault(own.name, (study.name, own))
    return list(made.values())
