"""A declared grid of specifications: what varies, in which families, and which cells make no sense.

A grid stands in the TOML file of a spec, in a table of its own. The rest of the file is one complete spec, the cell
every family starts from::

    [grid.options.outcome]                      # a choice, its options, and the keys each sets
    property = { "outcome.measure" = "property" }
    violent  = { "outcome.measure" = "violent" }

    [grid.families.two_way]                     # a family crosses choices, the last one fastest
    label   = "two-way regression"
    choices = ["outcome", "estimator"]
    set     = { "covariates.names" = [] }       # keys of every cell of the family
    [grid.families.two_way.options.estimator]   # options of this family alone
    "county and year" = { "estimator.name" = "two_way", "estimator.effects" = "county_year" }

    [[grid.leave_out]]                          # cells that make no sense, by a stated rule
    family = "two_way"
    when   = { outcome = ["violent"] }
    reason = "..."

    [grid.joint_test]                           # the part of the grid whose curve is tested as one
    family  = ["two_way"]
    outcome = ["property"]

A cell that the spec's own rules refuse (an estimator that takes no covariates, a definition that carries no such
design) is left out with the words of the rule; one that says what an earlier cell says is left out too. None of them
disappears: the plan counts and names them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as with_fields
from itertools import product
from pathlib import Path
from typing import Any

from analysis.base.errors import ProtocolError, SpecError, nearest
from analysis.base.paths import Paths
from analysis.base.provenance import digest_of
from analysis.design.spec import Spec, parse_spec, refuse_unknown_key

CHOICES = (
    "definition",
    "california",
    "window",
    "sample",
    "build",
    "covariates",
    "scale",
    "outcome",
    "estimator",
    "weights",
    "year",
    "coverage",
    "urban_class",
)
"""Every choice a grid may vary, in the order in which a figure lists them."""
FAMILY = "family"


@dataclass(frozen=True, slots=True)
class LeaveOut:
    """One stated rule: cells of a family (or of every one, "") with any of the named options in all named choices."""

    family: str
    when: tuple[tuple[str, tuple[str, ...]], ...]
    reason: str

    def holds(self, family: str, options: Mapping[str, str]) -> bool:
        """Say whether a cell falls under the rule."""
        if self.family and self.family != family:
            return False
        return all(options.get(choice) in names for choice, names in self.when)


@dataclass(frozen=True, slots=True)
class Family:
    """Specifications that vary the same choices.

    Args:
        name: as in the file.
        label: in words.
        choices: what is crossed, the last one fastest.
        options: by choice, option name to the keys it sets.
        changes: keys of every cell.
    """

    name: str
    label: str
    choices: tuple[str, ...]
    options: Mapping[str, Mapping[str, Mapping[str, Any]]]
    changes: Mapping[str, Any]

    @property
    def size(self) -> int:
        """Cells before any is left out."""
        size = 1
        for choice in self.choices:
            size *= len(self.options[choice])
        return size


@dataclass(frozen=True, slots=True)
class Cell:
    """One specification of a grid.

    Args:
        family: its name.
        options: choice to option, in the family's order.
        spec: the specification; None where it is left out.
        left_out: why it is left out, or "".
        digest: sixteen digits over what decides its numbers; "" where it is left out.
    """

    family: str
    options: Mapping[str, str]
    spec: Spec | None
    left_out: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Grid:
    """A grid as declared; make it with `load_grid`."""

    base: Spec
    families: tuple[Family, ...]
    leave_out: tuple[LeaveOut, ...]
    joint_test: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def tested(self) -> Iterator[Cell]:
        """Yield the cells that the joint test of the curve asks for, in order."""
        for cell in self.cells():
            about = {FAMILY: cell.family} | dict(cell.options)
            if cell.spec is not None and all(about.get(name) in names for name, names in self.joint_test):
                yield cell

    @property
    def digest(self) -> str:
        """Sixteen digits over everything that decides the cells and their names; which of them are tested is no part."""
        return digest_of(
            [
                self.base.digest,
                [
                    [f.name, list(f.choices), {c: dict(o) for c, o in f.options.items()}, dict(f.changes)]
                    for f in self.families
                ],
                [[one.family, [[c, list(n)] for c, n in one.when], one.reason] for one in self.leave_out],
            ]
        )

    def cells(self) -> Iterator[Cell]:
        """Yield every cell, those left out too, in the order of the file; memory does not grow with their number.

        Cells that repeat an earlier one of the same family are told by the options that do not matter to them: the
        digests of a family's cells are kept, sixteen digits each, and nothing else.
        """
        for family in self.families:
            seen: dict[str, str] = {}
            for names in product(*(family.options[choice] for choice in family.choices)):
                yield self._cell(family, dict(zip(family.choices, names, strict=True)), seen)

    def _cell(self, family: Family, options: dict[str, str], seen: dict[str, str]) -> Cell:
        for rule in self.leave_out:
            if rule.holds(family.name, options):
                return Cell(family.name, options, None, rule.reason)
        changes = dict(family.changes)
        for choice, option in options.items():
            changes |= family.options[choice][option]
        name = "/".join(
            [self.base.name, family.name, *(option.replace(" ", "-") for option in options.values())]
        )
        try:
            spec = self.base.replace(changes | {"name": name})
        except ProtocolError as error:
            return Cell(family.name, options, None, error.found)
        except SpecError as error:
            # No rule of the study but a fault of the file.
            raise SpecError(f"{name}: {error.found}", error.wanted, error.where) from None
        digest = spec.content_digest
        before = seen.setdefault(digest, name)
        if before != name:
            return Cell(family.name, options, None, f"says what {before} says")
        return Cell(family.name, options, spec, digest=digest)

    def only(self, families: Sequence[str] = (), **options: Sequence[str]) -> Grid:
        """Return the part of the grid with some families, and of some choices only the named options.

        Args:
            families: names; all by default.
            options: choice to the options kept; a family without the choice is kept whole.

        Raises:
            SpecError: a family or an option that is not there.

        Example:
            >>> small = load_grid("multiverse").only(["two_way"], outcome=["property"], scale=["rate"])
            >>> {cell.options["outcome"] for cell in small.cells()}
            {'property'}
        """
        kept = [family for family in self.families if not families or family.name in families]
        known = [family.name for family in self.families]
        for name in families:
            if name not in known:
                raise SpecError(
                    f"no family '{name}'{nearest(name, known)}", ", ".join(known), self.base.where
                )
        _named_options({c: list(names) for c, names in options.items()}, kept, "only", self.base.where)
        cut = []
        for family in kept:
            own = {
                choice: {n: v for n, v in held.items() if choice not in options or n in options[choice]}
                for choice, held in family.options.items()
            }
            if all(own.values()):
                cut.append(with_fields(family, options=own))
        return with_fields(self, families=tuple(cut))

    def cell(self, name: str) -> Cell:
        """Return the cell of a name.

        Raises:
            SpecError: no cell has it, or it is left out.
        """
        for found in self.cells():
            if found.spec is not None and found.spec.name == name:
                return found
        raise SpecError(f"no cell '{name}'", "a specification of the grid", self.base.where)


def load_grid(name: str | Path) -> Grid:
    """Read the grid of a spec file.

    Args:
        name: a name in ``analysis/specs`` ("multiverse"), or the path of a TOML file.

    Raises:
        SpecError: no such file, no grid in it, or the first thing wrong with it.

    Example:
        >>> [family.name for family in load_grid("multiverse").families][:2]
        ['staggered', 'two_way']
    """
    path = Path(name)
    if path.suffix != ".toml":
        path = Paths().specs / f"{name}.toml"
    if not path.is_file():
        raise SpecError(f"no spec '{name}'", "multiverse, or the path of a TOML file with a [grid]")
    return parse_grid(path.read_text(encoding="utf-8"), where=path.name, folder=path.parent)


def parse_grid(text: str, where: str = "the spec", folder: str | Path = "") -> Grid:
    """Return the grid in a TOML text; see `load_grid`.

    Args:
        text: TOML of a spec with a table ``grid``.
        where: what messages call it.
        folder: folder from which a csv in ``treatment.definition`` is found.
    """
    base = parse_spec(text, where=where, folder=folder)
    if base.vary or base.also:
        raise SpecError("[vary] or [[also]] beside [grid]", "one of the two ways to vary a spec", where)
    raw = tomllib.loads(text).get("grid")
    if not isinstance(raw, Mapping):
        raise SpecError("no [grid]", "a table [grid] with options, families and leave_out", where)
    _only(raw, ("options", "families", "leave_out", "joint_test"), "grid", where)
    shared = {
        choice: _options(options, f"grid.options.{choice}", where)
        for choice, options in _table(raw.get("options", {}), "grid.options", where).items()
    }
    _only(shared, CHOICES, "grid.options", where)
    families = tuple(
        _family(name, values, shared, where)
        for name, values in _table(raw.get("families", {}), "grid.families", where).items()
    )
    if not families:
        raise SpecError("grid.families is empty", "at least one family", where)
    rules = raw.get("leave_out", [])
    if not isinstance(rules, list):
        raise SpecError("grid.leave_out is no list", "one [[grid.leave_out]] a rule", where)
    tested = raw.get("joint_test")
    return Grid(
        base.base(),
        families,
        tuple(_rule(one, families, where) for one in rules),
        () if tested is None else _named_options(tested, families, "grid.joint_test", where),
    )


def _family(name: str, values: Any, shared: Mapping[str, Any], where: str) -> Family:
    place = f"grid.families.{name}"
    values = _table(values, place, where)
    _only(values, ("label", "choices", "set", "options"), place, where)
    own = {
        choice: _options(options, f"{place}.options.{choice}", where)
        for choice, options in _table(values.get("options", {}), f"{place}.options", where).items()
    }
    _only(own, CHOICES, f"{place}.options", where)
    known = {**shared, **own}
    choices = values.get("choices")
    if not isinstance(choices, list) or not choices or len(set(map(str, choices))) != len(choices):
        raise SpecError(f"{place}.choices = {choices!r}", "a list of choices, each once", where)
    for choice in choices:
        if choice not in known:
            raise SpecError(
                f"{place}: no options for '{choice}'{nearest(str(choice), known)}", ", ".join(known), where
            )
    unused = [choice for choice in own if choice not in choices]
    if unused:
        raise SpecError(
            f"{place} has options of '{unused[0]}', which it does not cross", "its choices", where
        )
    changes = _changes(values.get("set", {}), f"{place}.set", where)
    label = values.get("label")
    if not isinstance(label, str) or not label:
        raise SpecError(f"{place}.label = {label!r}", "a name in words", where)
    return Family(name, label, tuple(choices), {choice: known[choice] for choice in choices}, changes)


def _rule(values: Any, families: Sequence[Family], where: str) -> LeaveOut:
    values = _table(values, "grid.leave_out", where)
    _only(values, ("family", "when", "reason"), "grid.leave_out", where)
    reason, family = values.get("reason"), values.get("family", "")
    if not isinstance(reason, str) or not reason:
        raise SpecError("a [[grid.leave_out]] has no reason", 'reason = "..."', where)
    if family and family not in {one.name for one in families}:
        raise SpecError(
            f"grid.leave_out: no family '{family}'", ", ".join(one.name for one in families), where
        )
    reach = [one for one in families if not family or one.name == family]
    when = _named_options(values.get("when", {}), reach, "grid.leave_out", where)
    if not when:
        raise SpecError("a [[grid.leave_out]] without when", "the options it leaves out", where)
    return LeaveOut(family, when, reason)


def _named_options(
    values: Any, families: Sequence[Family], place: str, where: str
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    found = []
    for choice, names in _table(values, place, where).items():
        known = {name for one in families if choice in one.options for name in one.options[choice]}
        if choice == FAMILY:
            known = {one.name for one in families}
        wanted = names if isinstance(names, list) else [names]
        for name in wanted:
            if name not in known:
                raise SpecError(
                    f"{place}: {choice} has no option '{name}'{nearest(str(name), known)}",
                    ", ".join(sorted(known)) or "a choice of the family",
                    where,
                )
        found.append((choice, tuple(wanted)))
    return tuple(found)


def _options(values: Any, place: str, where: str) -> dict[str, dict[str, Any]]:
    found = {
        str(name): _changes(changes, f'{place}."{name}"', where)
        for name, changes in _table(values, place, where).items()
    }
    if not found:
        raise SpecError(f"{place} is empty", "at least one option", where)
    return found


def _changes(values: Any, place: str, where: str) -> dict[str, Any]:
    changes = dict(_table(values, place, where))
    for key in changes:
        refuse_unknown_key(key, place, where)
    return changes


def _table(values: Any, place: str, where: str) -> Mapping[str, Any]:
    if not isinstance(values, Mapping):
        raise SpecError(f"{place} = {values!r}", "a table", where)
    return values


def _only(values: Mapping[str, Any], known: Sequence[str], place: str, where: str) -> None:
    for key in values:
        if key not in known:
            raise SpecError(f"unknown key '{key}' in {place}{nearest(key, known)}", ", ".join(known), where)
