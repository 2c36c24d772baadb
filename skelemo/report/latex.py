"""LaTeX tables of a comparison, using the package booktabs."""

import pandas as pd

from skelemo.report.comparison import Comparison, Estimate
from skelemo.report.describe import figures_of
from skelemo.report.overview import COSTS, FACTS, rows
from skelemo.targets import Head
from skelemo.text import capital


def every_run(comparison: Comparison, head: Head) -> str:
    """Facts, scores with intervals (or mean and standard deviation over seeds) and costs of each experiment."""
    names = figures_of(head)
    cells = [
        [row.name, *row.facts.values(), *(_cell(one) for one in row.figures.values()), *row.costs.values()]
        for row in rows(comparison, head)
    ]
    table = pd.DataFrame(cells, columns=["Run", *FACTS, *names.values(), *COSTS])
    texts = ["Run", *FACTS, *COSTS]
    table[texts] = table[texts].map(lambda text: escape(text).replace("–", "--"))
    return _tabular(table, 1 + len(FACTS))


def paper(comparison: Comparison, head: Head) -> str:
    """The main metric by architecture and optimizer, the highest in bold."""
    table = comparison.paper_table(head)
    cells = [[escape(label), *(_cell(value, table.best) for value in values)] for label, values in table.rows]
    return _tabular(pd.DataFrame(cells, columns=[table.title, *table.optimizers]), 1)


def _cell(estimate: Estimate | None, best: float | None = None) -> str:
    if estimate is None:
        return "--"
    text = f"{estimate.value:.3f}"
    if best is not None and estimate.value == best:
        text = rf"\textbf{{{text}}}"
    if estimate.sd is not None:
        text += rf" $\pm$ {estimate.sd:.3f}"
    elif estimate.low is not None and estimate.high is not None:
        text += f" [{estimate.low:.3f}, {estimate.high:.3f}]"
    return text.replace("-", "$-$")


def _tabular(table: pd.DataFrame, texts: int) -> str:
    """Cells are already LaTeX, column names are escaped; the first ``texts`` columns are text, the others numbers."""
    table = table.rename(columns=lambda name: escape(capital(name)))
    return table.to_latex(index=False, escape=False, column_format="l" * texts + "c" * (table.shape[1] - texts))


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
    """Escape special characters of LaTeX."""
    return "".join(_SPECIAL.get(character, character) for character in text)
