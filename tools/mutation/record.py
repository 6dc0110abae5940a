"""What became of each mutant: a table that a stopped run goes on with, and the page made of it."""

import csv
import dataclasses
import math
from pathlib import Path

from mutation.mutants import Mutant

COLUMNS = ["stratum", "path", "line", "column", "kind", "change", "source", "nth", "outcome", "found_by"]


@dataclasses.dataclass
class Result:
    """`outcome`: killed, survived, equivalent, or not compiled; `found_by`: the test, or the reason
    why no test can."""

    stratum: str
    path: str
    line: int
    column: int
    kind: str
    change: str
    source: str
    nth: int
    outcome: str
    found_by: str

    @property
    def key(self) -> str:
        """The mutant's."""
        return f"{self.path}|{self.source}|{self.nth}|{self.column}|{self.change}"


def result_of(stratum: str, mutant: Mutant, outcome: str, found_by: str) -> Result:
    """A row of the table."""
    return Result(stratum, mutant.path, mutant.line, mutant.column, mutant.kind, mutant.change,
                  mutant.source, mutant.nth, outcome, found_by)


def read(path: Path) -> list[Result]:
    """The table's rows; none of a file that does not exist."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [Result(**{**row, **{name: int(row[name]) for name in ("line", "column", "nth")}})
                for row in csv.DictReader(file)]


def write(path: Path, results: list[Result]) -> None:
    """Whole or not at all."""
    half = path.with_suffix(".part")
    with half.open("w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(dataclasses.asdict(result) for result in results)
    half.replace(path)


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    z = 1.959964
    p = successes / trials
    center = p + z * z / (2 * trials)
    spread = z * math.sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return (center - spread) / scale, (center + spread) / scale


@dataclasses.dataclass
class Score:
    """Of a part, or of all."""

    name: str
    killed: int
    survived: int
    equivalent: int

    @property
    def share(self) -> str:
        """The share that is killed of those that are not equivalent, with its interval."""
        judged = self.killed + self.survived
        if judged == 0:
            return "none tried"
        low, high = wilson(self.killed, judged)
        return f"{100 * self.killed / judged:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def _scores(results: list[Result]) -> list[Score]:
    parts = {name: [r for r in results if r.stratum == name]
             for name in dict.fromkeys(r.stratum for r in results)}
    return [Score(name, *(sum(r.outcome == outcome for r in part)
                          for outcome in ("killed", "survived", "equivalent")))
            for name, part in {**parts, "all": results}.items()]


def scores(results: list[Result]) -> list[str]:
    """One line for each part."""
    return [f"{s.name}: {s.killed} of {s.killed + s.survived} killed, {s.share}; "
            f"{s.equivalent} more are equivalent" for s in _scores(results)]


def _cell(text: str) -> str:
    return "`" + text.replace("|", "\\|") + "`"


def _list(results: list[Result], outcome: str, last: str) -> list[str]:
    rows = [r for r in results if r.outcome == outcome]
    if not rows:
        return ["None.", ""]
    lines = [f"| where | line | change |{last}", "|---|---|---|" + ("---|" if last else "")]
    for r in rows:
        lines.append(f"| {r.path}:{r.line} | {_cell(r.source)} | {_cell(r.change)} |"
                     + (f" {r.found_by} |" if last else ""))
    return lines + [""]


def page(results: list[Result], heading: str) -> str:
    """The page of a table."""
    lines = [heading, "", "| part | mutants | killed | survived | equivalent | killed, of those that "
             "are not equivalent (95 %) |", "|---|---|---|---|---|---|"]
    for s in _scores(results):
        lines.append(f"| {s.name} | {s.killed + s.survived + s.equivalent} | {s.killed} | {s.survived} | "
                     f"{s.equivalent} | {s.share} |")
    lines += ["", "## Survivors", ""]
    lines += _list(results, "survived", "")
    lines += ["## Equivalent", "",
              "Read one by one: no input that the code can get tells them from the original.", ""]
    lines += _list(results, "equivalent", " why |")
    return "\n".join(lines)
