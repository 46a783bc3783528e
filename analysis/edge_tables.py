"""The answer of a technique as tables for a terminal: edges, safe rates, and what the rules prescribe."""

from collections.abc import Sequence

from rich.table import Table

from analysis.answer import GroupAnswer
from analysis.edge import Edge
from analysis.study_design import StudyDesign
from analysis.text_table import ends, text_table
from analysis.verdict import Verdict


def edge_table(design: StudyDesign, groups: Sequence[GroupAnswer], technique: str) -> Table:
    """The best rate, the edge and the safe rate of a technique at every batch size."""
    columns = {
        "batch\nsize": [str(each.group.batch_size) for each in groups],
        "runs": [str(sum(len(point.scores) for point in each.points)) for each in groups],
        "best": [
            f"{each.best.learning_rate:.3g}\n{design.metric.show(each.best.score)}" if each.best else "-"
            for each in groups
        ],
        "maximum\nscalable": [_in_words(each.scalable) for each in groups],
        "safe": [_safe(each.scalable) for each in groups],
    }
    return text_table(f"\n{technique}", columns)


def further_table(groups: Sequence[GroupAnswer]) -> Table:
    """The joint interval of the edge, and the edge against a batch size's own best."""
    columns = {
        "batch\nsize": [str(each.group.batch_size) for each in groups],
        "maximum scalable,\njointly": [ends(each.joint) if each.joint else "-" for each in groups],
        "maximum\ncompetitive": [_in_words(each.competitive) for each in groups],
    }
    return text_table(None, columns)


def rule_table(design: StudyDesign, groups: Sequence[GroupAnswer]) -> Table:
    """What each rule prescribes, and whether it holds."""
    columns = {"batch\nsize": [str(each.group.batch_size) for each in groups]}
    for rule in design.rules:
        columns[f"{rule.replace('_', ' ')}\nrule"] = [_prescription(*each.rules[rule]) for each in groups]
    return text_table(None, columns)


def _in_words(edge: Edge) -> str:
    """An edge in words: its interval and flags."""
    flags = ", ".join(edge.flags)
    if edge.lower is None:
        return flags
    return f"{ends((edge.lower, edge.upper))}\n{flags}".rstrip()


def _safe(edge: Edge) -> str:
    """The safe rate in words, and how many runs failed below the edge."""
    if edge.lower is None:
        return "-"
    failed, below = edge.failed_below
    seen = f"\n{failed} of {below} runs below\nthe edge failed" if failed else ""
    return (ends(edge.safe) if edge.safe else "not measured") + seen


def _prescription(rate: float | None, verdict: Verdict | None) -> str:
    if rate is None:
        return "outside the range"
    return f"{rate:.3g} {verdict.value if verdict else 'not run'}"
