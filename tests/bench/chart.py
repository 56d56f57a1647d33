"""Series over time as an SVG: a panel a series, one above the other."""

from html import escape

WIDTH, PANEL, GAP, LEFT, RIGHT, TOP, BOTTOM = 900, 90, 26, 90, 20, 46, 34


def number(x):
    return f"{x:,.0f}" if abs(x) >= 100 else f"{x:.3g}"


def text(x, y, what, anchor="start", weight="normal", size=12):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" font-size="{size}">{escape(what)}</text>'


def panel(top, times, values, title):
    """Its lower edge is 0, so that what looks flat is flat."""
    high = max([v for v in values if v is not None], default=0) * 1.1 or 1
    span = max(times[-1], 1e-9)

    def at(t, v):
        return f"{LEFT + t / span * (WIDTH - LEFT - RIGHT):.1f},{top + PANEL - v / high * PANEL:.1f}"

    line = " ".join(at(t, v) for t, v in zip(times, values) if v is not None)
    return [
        f'<rect x="{LEFT}" y="{top}" width="{WIDTH - LEFT - RIGHT}" height="{PANEL}" fill="none" stroke="#bbb"/>',
        text(LEFT, top - 6, title, weight="bold"),
        text(LEFT - 8, top + 10, number(high), "end"),
        text(LEFT - 8, top + PANEL, "0", "end"),
        f'<polyline points="{line}" fill="none" stroke="#1f5fa8" stroke-width="1.5"/>',
    ]


def svg(title, minutes, series):
    """minutes: one for each value. series: (title, values) each; None where there is no value."""
    height = TOP + len(series) * (PANEL + GAP) + BOTTOM
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" fill="#222">',
           f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>', text(LEFT, 20, title, weight="bold", size=15)]
    for i, (name, values) in enumerate(series):
        out += panel(TOP + i * (PANEL + GAP), minutes, values, name)
    base = height - BOTTOM + 8
    out += [text(LEFT, base, "0"), text(WIDTH - RIGHT, base, f"{number(minutes[-1])} minutes", "end"), "</svg>"]
    return "\n".join(out) + "\n"
