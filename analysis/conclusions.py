"""The answer in sentences, technique by technique."""

from collections.abc import Sequence

from analysis.answer import Answer, GroupAnswer
from analysis.scaling_law import PowerLaw
from analysis.study_design import StudyDesign
from analysis.verdict import Verdict


def conclusions(design: StudyDesign, found: Answer) -> list[str]:
    """The answer in sentences: how far each technique scales, why it stops, where rules break, and the exponent."""
    lines = [
        f"{each.group.technique} at batch size {each.group.batch_size}: measured with "
        + ", ".join(f"{name} {value:.3g}" for name, value in each.setting)
        + "."
        for each in found.groups
        if each.setting
    ]
    for technique in found.laws:
        mine = [each for each in found.groups if each.group.technique == technique]
        above = [each for each in mine if each.group.batch_size >= design.baseline.batch_size]
        below = [each for each in reversed(mine) if each.group.batch_size < design.baseline.batch_size]
        lines.append(f"{technique}: {_how_far(above, 'up')}.")
        if below:
            lines.append(f"{technique}: {_how_far(below, 'down')}.")
        settled = [str(each.group.batch_size) for each in mine if each.points and not each.limit]
        if settled:
            lines.append(f"{technique}: decided at batch size {', '.join(settled)}.")
        for each in mine:
            if each.limit:
                lines.append(f"{technique}: batch size {each.group.batch_size} is undecided: {each.limit}.")
        for rule in design.rules:
            breaks = found.breaks[technique, rule]
            name = rule.replace("_", " ")
            unknown = [each.group.batch_size for each in mine if each.rules[rule][1] in (None, Verdict.UNDECIDED)]
            where = f"breaks at batch size {breaks}" if breaks else "was not seen to break"
            fails = [each.group.batch_size for each in below if each.rules[rule][1] is Verdict.FAILS]
            where += f" above the baseline, and at {fails[0]} below" if fails else ""
            doubt = f" (undecided or out of range at {', '.join(map(str, unknown))})" if unknown else ""
            lines.append(f"{technique}: the {name} rule {where}{doubt}.")
        law = found.laws[technique]
        if isinstance(law, PowerLaw):
            lines.append(
                f"{technique}: maximum scalable learning rate = {law.factor:.3g} x B^{law.exponent:.2f}, exponent 90 % "
                f"interval [{law.lower:.2f}, {law.upper:.2f}], from {law.edges} edges."
            )
            forms = sorted(law.forms, key=lambda form: -law.forms[form])
            shares = ", ".join(f"{form} with {law.forms[form]:.0%}" for form in forms)
            lines.append(f"{technique}: of three forms that a law may have, these edges follow: {shares}.")
        else:
            lines.append(f"{technique}: {law}.")
    return lines


def _how_far(groups: Sequence[GroupAnswer], way: str) -> str:
    """Up or down to which batch size a technique scales, where it stops, and why.

    Args:
        groups: from the baseline's batch size on, away from it.
        way: "up" or "down".
    """
    scales = [each for each in groups if each.scales]
    stops = [each for each in groups if each.why and not each.scales]
    unsure = [each.group.batch_size for each in groups if not each.scales and not each.why]
    found = "no batch size is known to scale" if way == "up" else "no smaller batch size is known to scale"
    if scales:
        last, farthest = scales[-1].group.batch_size, "largest" if way == "up" else "smallest"
        found = f"scales {way} to batch size {last}" + (f", the {farthest} tried" if scales[-1] is groups[-1] else "")
    for each in stops[:1]:
        found += f"; it does not at {each.group.batch_size} ({each.why})"
    if unsure:
        found += f"; open at {', '.join(map(str, unsure))}"
    return found
