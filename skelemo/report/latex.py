"""The tables of a comparison for a paper: LaTeX with the rules of the package booktabs."""

import pandas as pd

from skelemo.report.comparison import Estimate, Ground, estimate_of
from skelemo.report.describe import figures_of
from skelemo.targets import Head


def every_run(ground: Ground, head: Head) -> str:
    """A row for each run with every figure and its interval, or mean and deviation over seeds."""
    names = figures_of(head)
    rows = {
        run.name: [_cell(estimate_of(run, head.name, name)) for name in names]
        for run in ground.runs
        if head.name in run.shown
    }
    return _tabular(pd.DataFrame(rows.values(), index=list(rows), columns=[*names.values()]), "Run")


def paper(ground: Ground, head: Head) -> str:
    """The deciding figure by architecture and optimizer, the highest in bold."""
    table = ground.paper_table(head)
    rows = {label: [_cell(value, table.best) for value in values] for label, values in table.rows}
    return _tabular(pd.DataFrame(rows.values(), index=list(rows), columns=list(table.optimizers)), table.title)


def _cell(estimate: Estimate | None, best: float | None = None) -> str:
    if estimate is None:
        return "--"
    text = f"{estimate.value:.3f}"
    if best is not None and estimate.value == best:
        text = rf"\textbf{{{text}}}"
    if estimate.sd is not None:
        return rf"{text} $\pm$ {estimate.sd:.3f}"
    known = estimate.low is not None and estimate.high is not None
    return (
        f"{text} [{estimate.low:.3f}, {estimate.high:.3f}]".replace("-", "$-$") if known else text.replace("-", "$-$")
    )


def _tabular(table: pd.DataFrame, corner: str) -> str:
    """Cells are LaTeX already; names are escaped."""
    table = table.rename(index=escape, columns=lambda name: escape(name[:1].upper() + name[1:]))
    table.insert(0, escape(corner[:1].upper() + corner[1:]), table.index)
    return table.to_latex(index=False, escape=False, column_format="l" + "c" * (table.shape[1] - 1))


_SPECIAL = {c: rf"\{c}" for c in "&%$#_{}"} | {
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "[": "{[}",
    "]": "{]}",
}


def escape(text: str) -> str:
    """Text that LaTeX sets as it stands."""
    return "".join(_SPECIAL.get(character, character) for character in text)
