"""Rows of results: as lines, as Markdown, and in their place in a document."""

from dataclasses import dataclass
from pathlib import Path

COLUMNS = ("name", "result", "target", "verdict", "rps", "cpu", "p50", "p99", "rss", "growth")
WIDTHS = (39, 16, 16, 7, 6, 6, 6, 6, 8, 6)


@dataclass
class Row:
    """result: what is judged, in words; the ratios are attestd's to the other's; growth: of attestd's CPU a request to that
    in the first row of a series."""

    name: str
    result: str
    target: str = ""
    ok: bool | None = None
    rps: float | None = None
    cpu: float | None = None
    p50: float | None = None
    p99: float | None = None
    rss: int | None = None
    growth: float | None = None

    def cells(self):
        verdict = {None: "", True: "ok", False: "MISSED"}[self.ok]
        numbers = ["" if x is None else f"{x:.2f}" for x in (self.rps, self.cpu, self.p50, self.p99)]
        return [self.name, self.result, self.target, verdict, *numbers, "" if self.rss is None else f"{self.rss / (1 << 20):.0f} MiB",
                "" if self.growth is None else f"{self.growth:.2f}"]

    def line(self):
        return columns(self.cells())


def columns(cells):
    return "  ".join((c or "-").ljust(w) for c, w in zip(cells, WIDTHS)).rstrip()


# What is shown is what is judged.
def at_least(value, limit, unit="", form=".2f"):
    return {"result": f"{value:{form}}{unit}", "target": f">= {limit}{unit}", "ok": float(f"{value:{form}}") >= limit}


def at_most(value, limit, unit="", form=".2f"):
    return {"result": f"{value:{form}}{unit}", "target": f"<= {limit}{unit}", "ok": float(f"{value:{form}}") <= limit}


def markdown(header, rows):
    def line(cells):
        return "| " + " | ".join(cells) + " |"

    return "\n".join([line(header), line(["---"] * len(header)), *map(line, rows)])


def record(path, name, text):
    """Puts the text in place of what is between <!-- name --> and <!-- end of name -->."""
    path = Path(path)
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, found, rest = path.read_text().partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise SystemExit(f"{path} has no place for {name}: it must hold {begin.strip()} and {end}")
    path.write_text(f"{before}{begin}\n{text}\n\n{end}{after}")
