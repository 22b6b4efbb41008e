"""The only module that knows folders.

Two trees stand side by side and never mix: the real one (``data/``, ``figures/``, ``notebooks/``, ``paper/``)
and the simulated one, everything the twin feeds, under ``simulated/``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA_VARIABLE = "CRIME_STUDY_DATA"
"""Names a folder of raw files to read instead of ``data/raw``."""

TREE_VARIABLE = "CRIME_STUDY_TREE"
"""Set to ``simulated`` to work on the simulated tree; the main job sets it for the notebooks it runs."""


@dataclass(frozen=True, slots=True)
class Paths:
    """Folders of one tree, real or simulated.

    Args:
        root: the checkout.
        simulated: whether outputs go to ``simulated/`` instead of the committed folders.

    Example:
        >>> Paths(Path("study"), simulated=True).figures.as_posix()
        'study/simulated/figures'
    """

    root: Path = ROOT
    simulated: bool = False

    @property
    def out(self) -> Path:
        """Folder below which outputs go."""
        return self.root / "simulated" if self.simulated else self.root

    @property
    def manifest(self) -> Path:
        """The list of raw files."""
        return self.root / "data" / "manifest.toml"

    @property
    def codebook(self) -> Path:
        """The column contracts."""
        return self.root / "data" / "codebook.toml"

    @property
    def compiled_policy(self) -> Path:
        """The study's own compilations of policy facts (committed)."""
        return self.root / "data" / "policy"

    @property
    def compiled_geography(self) -> Path:
        """The study's own compilations of geography facts (committed)."""
        return self.root / "data" / "geography"

    @property
    def raw(self) -> Path:
        """Raw files: the folder named by ``CRIME_STUDY_DATA``, or ``data/raw``."""
        named = os.environ.get(DATA_VARIABLE)
        return Path(named) if named else self.root / "data" / "raw"

    @property
    def raw_is_borrowed(self) -> bool:
        """Whether raw files are read from a folder of the user's: then nothing is ever written there."""
        return bool(os.environ.get(DATA_VARIABLE))

    @property
    def tidy(self) -> Path:
        """Tidy tables, one a provider (built)."""
        return self.out / "data" / "tidy"

    @property
    def panel(self) -> Path:
        """County-year and city-year panels with their reports (built)."""
        return self.out / "data" / "panel"

    @property
    def multiverse(self) -> Path:
        """Finished cells of grids, from which their tables are put together (built)."""
        return self.out / "data" / "multiverse"

    @property
    def results(self) -> Path:
        """Estimates (committed when real)."""
        return self.out / "data" / "results"

    @property
    def figures(self) -> Path:
        """Figures, each as pdf, png, csv and stamp."""
        return self.out / "figures"

    @property
    def notebooks(self) -> Path:
        """Notebooks; the simulated tree holds executed copies."""
        return self.out / "notebooks"

    @property
    def paper(self) -> Path:
        """The paper, its generated numbers and tables."""
        return self.out / "paper"

    @property
    def measured_size(self) -> Path:
        """How often the study's intervals held the truth on simulated panels (committed, SIMULATED)."""
        return self.root / "tests" / "reference" / "truth" / "size_on_twin.csv"

    @property
    def measured_curve(self) -> Path:
        """How often the joint test of a curve rejects a true null on simulated panels (committed, SIMULATED)."""
        return self.root / "docs" / "size_of_curve.csv"

    @property
    def lists(self) -> Path:
        """Lists of places of the published studies, where a user has them (never committed)."""
        return self.root / "data" / "lists"

    @property
    def published(self) -> Path:
        """The registered figures of published studies (committed)."""
        return self.root / "data" / "published.yaml"

    @property
    def grid(self) -> Path:
        """The study's own grid of specifications."""
        return self.specs / "multiverse.toml"

    @property
    def specs(self) -> Path:
        """Specs that come with the package."""
        return self.root / "analysis" / "specs"


def default_paths() -> Paths:
    """Return the real tree, or the simulated one where the environment says so.

    Example:
        >>> default_paths().root == ROOT
        True
    """
    return Paths(simulated=os.environ.get(TREE_VARIABLE) == "simulated")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path`` that takes its place only when the block ends well.

    A reader therefore sees the old file or the new one, never half of one; a failed block leaves the old
    file and removes the temporary one.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "table.csv"
        >>> with replacing(target) as temporary:
        ...     _ = temporary.write_text("a\\n1\\n")
        >>> target.read_text()
        'a\\n1\\n'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last: writers choose their format by it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
