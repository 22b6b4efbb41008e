"""The codebook: what every column of every table is, read from ``data/codebook.toml``, and the check that holds it.

A name with a placeholder, ``rate_{measure}``, stands for one column per entry of the list of that name.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from string import Formatter
from typing import Any

import numpy as np
import pandas as pd

from analysis.base.errors import TableError, nearest
from analysis.base.paths import Paths

KINDS = ("text", "integer", "number", "flag")


@dataclass(frozen=True, slots=True)
class Column:
    """Contract of one column.

    Args:
        name: column name.
        kind: ``text``, ``integer``, ``number`` or ``flag`` (True/False).
        label: what a reader sees on an axis.
        unit: unit in words.
        missing: ``never``, or the rule by which a value is missing.
        source: provider and vintage.
        minimum, maximum: closed range, or None.
        allowed: permitted values, or empty for any.
        pattern: regular expression a text must match in full, or "".
    """

    name: str
    kind: str
    label: str
    unit: str
    missing: str
    source: str
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[Any, ...] = ()
    pattern: str = ""


@dataclass(frozen=True, slots=True)
class TableContract:
    """Contract of one table: its grain, its key, its columns in order."""

    name: str
    grain: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Measure:
    """A crime (or other) outcome a spec may name.

    Args:
        name: as in ``outcome.measure``.
        label: in words, lower case.
        kind: ``offences`` (a count over a policed population) or ``direct`` (a column used as it stands).
        column: the panel column of a direct measure, otherwise "".
        unit: unit of a direct measure.
        years: first and last year in which it means one thing, or None.
        note: what a reader must know.
    """

    name: str
    label: str
    kind: str
    column: str
    unit: str
    years: tuple[int, int] | None
    note: str


@dataclass(frozen=True, slots=True)
class Codebook:
    """Every table contract, measure and covariate of the study."""

    lists: Mapping[str, tuple[str, ...]]
    tables: Mapping[str, TableContract]
    measures: Mapping[str, Measure]
    covariates: Mapping[str, Mapping[str, str]]
    covariate_labels: Mapping[str, str]

    def table(self, name: str) -> TableContract:
        """Return the contract of a table; an unknown name raises `TableError`."""
        if name not in self.tables:
            raise TableError(
                f"no table '{name}' in the codebook{nearest(name, self.tables)}", where="data/codebook.toml"
            )
        return self.tables[name]

    def label(self, column: str, table: str = "panel") -> str:
        """Return the label of a column."""
        return next((c.label for c in self.table(table).columns if c.name == column), column)

    def covariate_column(self, name: str, vintage: str) -> str:
        """Return the panel column that holds a covariate in a vintage; unknown names and gaps raise `TableError`."""
        if name not in self.covariates:
            raise TableError(
                f"covariates.names holds '{name}'{nearest(name, self.covariates)}",
                f"one of {', '.join(self.covariates)}",
                "the spec",
            )
        vintages = self.covariates[name]
        if vintage not in vintages:
            raise TableError(
                f"covariate '{name}' has no vintage '{vintage}'",
                f"one of {', '.join(vintages)}",
                "covariates.vintage",
            )
        return vintages[vintage]


def _expand(template: str, lists: Mapping[str, tuple[str, ...]]) -> list[dict[str, str]]:
    fields = [name for _, name, _, _ in Formatter().parse(template) if name]
    return [dict(zip(fields, values, strict=True)) for values in product(*(lists[f] for f in fields))]


def _columns(
    entries: Mapping[str, Any], lists: Mapping[str, tuple[str, ...]], table: str
) -> tuple[Column, ...]:
    columns = []
    for template, entry in entries.items():
        for words in _expand(template, lists):
            name = template.format(**words)
            if entry.get("kind") not in KINDS:
                raise TableError(
                    f"column {table}.{name} has kind {entry.get('kind')!r}",
                    f"one of {', '.join(KINDS)}",
                    "data/codebook.toml",
                )
            unknown = set(entry) - {
                "kind",
                "label",
                "unit",
                "missing",
                "source",
                "min",
                "max",
                "allowed",
                "pattern",
            }
            if unknown:
                raise TableError(
                    f"column {table}.{name} has unknown keys {sorted(unknown)}", where="data/codebook.toml"
                )
            absent = {"kind", "label", "unit", "missing", "source"} - set(entry)
            if absent:
                raise TableError(f"column {table}.{name} lacks {sorted(absent)}", where="data/codebook.toml")
            columns.append(
                Column(
                    name=name,
                    kind=entry["kind"],
                    label=entry["label"].format(**{k: v.replace("_", " ") for k, v in words.items()}),
                    unit=entry["unit"],
                    missing=entry["missing"],
                    source=entry["source"],
                    minimum=entry.get("min"),
                    maximum=entry.get("max"),
                    allowed=tuple(entry.get("allowed", ())),
                    pattern=entry.get("pattern", ""),
                )
            )
    return tuple(columns)


@cache
def load_codebook(path: Path | None = None) -> Codebook:
    """Read the codebook.

    Args:
        path: the TOML file; by default ``data/codebook.toml``.

    Raises:
        TableError: a column lacks a part of its contract, or has an unknown one.

    Example:
        >>> load_codebook().table("panel").key
        ('county_fips', 'year')
    """
    raw = tomllib.loads((path or Paths().codebook).read_text(encoding="utf-8"))
    lists = {name: tuple(values) for name, values in raw.get("lists", {}).items()}
    tables = {
        name: TableContract(
            name, entry["grain"], tuple(entry["key"]), _columns(entry["columns"], lists, name)
        )
        for name, entry in raw.get("tables", {}).items()
    }
    measures = {
        name: Measure(
            name,
            entry["label"],
            entry["kind"],
            entry.get("column", ""),
            entry.get("unit", "offences"),
            tuple(entry["years"]) if "years" in entry else None,
            entry.get("note", ""),
        )
        for name, entry in raw.get("measures", {}).items()
    }
    covariates = {name: dict(entry["vintages"]) for name, entry in raw.get("covariates", {}).items()}
    labels = {name: entry["label"] for name, entry in raw.get("covariates", {}).items()}
    return Codebook(lists, tables, measures, covariates, labels)


def _kind_holds(values: pd.Series, kind: str) -> bool:
    if kind == "text":
        present = values.dropna()
        return bool(pd.api.types.is_string_dtype(values) or present.map(type).eq(str).all())
    if kind == "flag":
        return bool(pd.api.types.is_bool_dtype(values))
    if kind == "integer":
        return bool(pd.api.types.is_integer_dtype(values))
    return bool(pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values))


def _schema(contract: TableContract) -> Any:
    import pandera.pandas as pa

    columns = {}
    for column in contract.columns:
        checks = [
            pa.Check(
                lambda s, kind=column.kind: _kind_holds(s, kind), name=f"kind {column.kind}", ignore_na=False
            )
        ]
        if column.minimum is not None:
            checks.append(pa.Check.ge(column.minimum))
        if column.maximum is not None:
            checks.append(pa.Check.le(column.maximum))
        if column.allowed:
            checks.append(pa.Check.isin(list(column.allowed)))
        if column.pattern:
            checks.append(pa.Check.str_matches(f"^(?:{column.pattern})$"))
        columns[column.name] = pa.Column(None, checks, nullable=column.missing != "never", required=True)
    return pa.DataFrameSchema(columns, strict=True)


def validate(table: pd.DataFrame, name: str, codebook: Codebook | None = None) -> pd.DataFrame:
    """Return the table with its columns in codebook order, or say which contract it breaks and where.

    Args:
        table: rows to check; never mutated.
        name: its name in the codebook.
        codebook: by default the study's.

    Raises:
        TableError: columns missing or unknown, a key that repeats or is missing, a value out of range.

    Example:
        >>> import pandas as pd
        >>> validate(pd.DataFrame({"county_fips": ["1001"]}), "panel")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        analysis.base.errors.TableError: table panel lacks ...
    """
    from pandera.errors import SchemaErrors

    contract = (codebook or load_codebook()).table(name)
    wanted = [column.name for column in contract.columns]
    absent = [column for column in wanted if column not in table]
    if absent:
        raise TableError(
            f"table {name} lacks {_short(absent)}",
            f"the {len(wanted)} columns of its codebook entry",
            "data/codebook.toml",
        )
    unknown = [column for column in table if column not in wanted]
    if unknown:
        raise TableError(
            f"table {name} has unknown columns {_short(unknown)}",
            "only columns that stand in the codebook",
            "data/codebook.toml",
        )
    ordered = table[wanted].reset_index(drop=True)
    key = list(contract.key)
    if key:
        if ordered[key].isna().to_numpy().any():
            rows = ordered.loc[ordered[key].isna().any(axis=1), key].head(3).to_dict("records")
            raise TableError(f"table {name} has missing values in its key {key}: {rows}", "a complete key")
        repeated = ordered.duplicated(key, keep=False)
        if repeated.any():
            rows = ordered.loc[repeated, key].head(4).to_dict("records")
            raise TableError(
                f"table {name} has {int(repeated.sum())} rows with a repeated key {key}: {rows}",
                "one row a key",
            )
    try:
        _schema(contract).validate(ordered, lazy=True)
    except SchemaErrors as errors:
        cases = errors.failure_cases
        first = cases.iloc[0]
        column, check = first["column"], first["check"]
        here = cases[(cases["column"] == column) & (cases["check"] == check)]
        rows = [int(i) for i in here["index"].dropna().head(3)]
        sample = (
            ordered.loc[rows, [*key, *([column] if column not in key else [])]].to_dict("records")
            if rows
            else []
        )
        raise TableError(
            f"table {name}, column {column}: {len(here)} value(s) break '{check}', e.g. {sample or first['failure_case']}",
            "what the codebook states for that column",
            f"data/codebook.toml, tables.{name}.columns.{column}",
        ) from None
    _refuse_infinite(ordered, name)
    return ordered


def _refuse_infinite(table: pd.DataFrame, name: str) -> None:
    for column in table.select_dtypes("number"):
        values = table[column].to_numpy(dtype=float, na_value=np.nan)
        if np.isinf(values).any():
            raise TableError(
                f"table {name}, column {column}: {int(np.isinf(values).sum())} infinite value(s)",
                "finite values or missing",
            )


def _short(names: list[str], most: int = 6) -> str:
    shown = ", ".join(map(str, names[:most]))
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
