"""The paper: generated numbers, text held against them, Typst in, a PDF that repeats byte for byte out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from analysis.base.errors import StudyError
from analysis.base.paths import replacing
from analysis.report import numbers
from analysis.report.outputs import OUTPUTS, Context, folder_of


def compile_typst(source: Path, target: Path, *, root: Path, inputs: Mapping[str, str]) -> Path:
    """Compile a Typst file to PDF with the fonts that come with the compiler, and nothing of this machine's.

    Args:
        source: the .typ file.
        target: the .pdf.
        root: folder that absolute paths in the source start from.
        inputs: ``sys.inputs`` of the source.

    Raises:
        StudyError: the source does not compile; the message is the compiler's.
    """
    import typst

    try:
        made = typst.compile(
            str(source), root=str(root), sys_inputs=dict(inputs), ignore_system_fonts=True, format="pdf"
        )
    except typst.TypstError as error:
        found = " ".join((getattr(error, "diagnostic", "") or str(error)).split())
        raise StudyError(f"{source.name} does not compile: {found}", where=source.name) from None
    with replacing(target) as temporary:
        temporary.write_bytes(made)
    return target


def build_paper(context: Context) -> Path:
    """Write the paper's numbers, check its text against them, and compile it.

    Args:
        context: every ingredient of `numbers.make_numbers`; figures and tables must have been made.

    Returns:
        ``paper.pdf`` in the paper's folder of the tree; the text itself is always that of the checkout.

    Raises:
        StudyError: an output is missing, or a number in the text is not a generated one.
    """
    paths = context.paths
    made = numbers.make_numbers(context)
    kept = numbers.write_numbers(made, paths.paper / "numbers.json", simulated=context.simulated)
    numbers.check_paper(paths)
    here = [o.name for o in OUTPUTS.values() if (folder_of(o, paths) / f"{o.name}.json").is_file()]
    absent = [name for name in OUTPUTS if name not in here]
    if absent and not context.simulated:
        raise StudyError(
            f"the paper needs {', '.join(absent)}", "every output made first", "python -m analysis make all"
        )

    def from_root(path: Path) -> str:
        return "/" + path.relative_to(paths.root).as_posix()

    inputs = {
        "numbers": from_root(kept),
        "figures": from_root(paths.figures),
        "tables": from_root(paths.paper / "tables"),
        "made": ",".join(here),
    }
    return compile_typst(
        paths.root / "paper" / "main.typ", paths.paper / "paper.pdf", root=paths.root, inputs=inputs
    )
