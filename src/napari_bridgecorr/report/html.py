"""One self-contained HTML page: style, cards, figures, tables. Every text is escaped here."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

_STYLE = """
:root{--paper:#f6f7f9;--card:#fff;--ink:#1f2933;--soft:#52606d;--line:#dfe4ea;--accent:#0b5c8f;
--warn:#8a4b00;--warn-ground:#fff6e5;--warn-line:#f0c36d;--bad:#b42318;--good:#1c7a43}
@media (prefers-color-scheme:dark){:root{--paper:#14181d;--card:#1d232a;--ink:#e6eaee;
--soft:#a3afbb;--line:#323b45;--accent:#7cc0ec;--warn:#ffd48a;--warn-ground:#33260e;
--warn-line:#7a5a1c;--bad:#ff9a8f;--good:#7fd6a2}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:1080px;margin:0 auto;padding:40px 24px 64px}
h1{font-size:1.9rem;line-height:1.2;margin:0 0 6px;letter-spacing:-.01em;overflow-wrap:anywhere}
h2{font-size:1.25rem;margin:52px 0 4px;letter-spacing:-.005em}
.pair{color:var(--soft);margin:0 0 18px;overflow-wrap:anywhere}
.lead{font-size:1.08rem;margin:0 0 22px;max-width:72ch}
.intro{color:var(--soft);margin:0 0 14px;max-width:75ch}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(215px,1fr));gap:12px;margin:0}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 16px}
.card dt{color:var(--soft);font-size:.8rem;margin:0}
.card dd{margin:0}
.value{font-size:1.4rem;font-weight:650;font-variant-numeric:tabular-nums;line-height:1.3;
overflow-wrap:anywhere}
.note{color:var(--soft);font-size:.82rem;line-height:1.4}
.good .value{color:var(--good)}.bad .value{color:var(--bad)}
.warnings{background:var(--warn-ground);border:1px solid var(--warn-line);border-radius:10px;
color:var(--warn);padding:12px 18px;margin:0 0 22px}
.warnings h2{font-size:1rem;margin:0 0 4px}.warnings ul{margin:0;padding-left:20px}
.warnings li{overflow-wrap:anywhere}
figure{margin:14px 0 0;background:var(--card);border:1px solid var(--line);border-radius:10px;
overflow:hidden}
figure .sheet{background:#fff;padding:12px;text-align:center}
figure img{max-width:100%;height:auto;display:inline-block;vertical-align:top}
figcaption{padding:12px 18px 14px;border-top:1px solid var(--line);font-size:.93rem}
figcaption p{margin:0 0 6px;max-width:85ch}figcaption p:last-child{margin:0}
figcaption .note{font-size:.87rem}
.missing{background:var(--card);border:1px dashed var(--line);border-radius:10px;
padding:14px 18px;margin:14px 0 0;color:var(--soft)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.9rem;margin-top:12px}
th,td{text-align:left;padding:6px 12px 6px 0;border-bottom:1px solid var(--line);
vertical-align:top;overflow-wrap:anywhere}
th{color:var(--soft);font-weight:500}
td.number,th.number{text-align:right;font-variant-numeric:tabular-nums}
.facts th{width:30%}
details{margin-top:14px}summary{cursor:pointer;color:var(--accent)}
dl.words{display:grid;grid-template-columns:minmax(150px,auto) 1fr;gap:8px 22px;margin:12px 0 0;
font-size:.93rem}dl.words dt{font-weight:600}dl.words dd{margin:0;max-width:75ch}
@media (max-width:600px){main{padding:24px 14px 40px}dl.words{grid-template-columns:1fr;gap:2px}
dl.words dd{margin-bottom:8px}}
@media print{:root{--paper:#fff;--card:#fff;--ink:#000;--soft:#444;--line:#ccc;--accent:#000;
--warn:#000;--warn-ground:#fff;--warn-line:#888;--bad:#a00;--good:#060}
body{font-size:11pt}main{max-width:none;padding:0}figure,.card,.warnings{break-inside:avoid}
h2{break-after:avoid;margin-top:28px}.cards{grid-template-columns:repeat(4,1fr)}}
"""

_WARNINGS_SHOWN = 6


@dataclass(frozen=True)
class Card:
    """One key figure.

    Parameters
    ----------
    label, value, note : str
    tone : {"", "good", "bad"}
    """

    label: str
    value: str
    note: str = ""
    tone: str = ""


def page(title: str, body: Iterable[str]) -> str:
    """The whole document."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def header(title: str, pair: str, lead: str) -> str:
    """Headline, the two images, and the sentence to take home."""
    told = f'\n<p class="lead">{escape(lead)}</p>' if lead else ""
    return f'<h1>{escape(title)}</h1>\n<p class="pair">{escape(pair)}</p>{told}'


def warning_box(warnings: Sequence[str]) -> str:
    """What the reader must see before the numbers."""
    items = [f"<li>{escape(w)}</li>" for w in warnings]
    shown, folded = "".join(items[:_WARNINGS_SHOWN]), "".join(items[_WARNINGS_SHOWN:])
    rest = ""
    if folded:
        n = len(items) - _WARNINGS_SHOWN
        rest = f"<details><summary>{n} more</summary><ul>{folded}</ul></details>"
    heading = "1 warning" if len(warnings) == 1 else f"{len(warnings)} warnings"
    return f'<section class="warnings"><h2>{heading}</h2><ul>{shown}</ul>{rest}</section>'


def cards(items: Iterable[Card]) -> str:
    """The key figures as a grid."""
    cells = []
    for c in items:
        note = f'<div class="note">{escape(c.note)}</div>' if c.note else ""
        tone = f" {c.tone}" if c.tone else ""
        cells.append(
            f'<div class="card{tone}"><dt>{escape(c.label)}</dt>'
            f'<dd><div class="value">{escape(c.value)}</div>{note}</dd></div>'
        )
    return f'<dl class="cards">{"".join(cells)}</dl>'


def heading(text: str, intro: str = "") -> str:
    """A section's heading."""
    told = f'\n<p class="intro">{escape(intro)}</p>' if intro else ""
    return f"<h2>{escape(text)}</h2>{told}"


def picture(name: str, png: bytes, alternative: str, caption: Sequence[str]) -> str:
    """A figure with its caption: the first paragraph says what to look for, the rest what not."""
    data = base64.b64encode(png).decode("ascii")
    first, *rest = caption
    told = f"<p>{escape(first)}</p>" + "".join(f'<p class="note">{escape(p)}</p>' for p in rest)
    return (
        f'<figure id="{escape(name)}"><div class="sheet">'
        f'<img alt="{escape(alternative)}" src="data:image/png;base64,{data}"></div>'
        f"<figcaption>{told}</figcaption></figure>"
    )


def missing(text: str) -> str:
    """Why a figure is not there."""
    return f'<p class="missing">{escape(text)}</p>'


def number_table(columns: Sequence[str], rows: Iterable[Sequence[str]], summary: str) -> str:
    """A folded table; the first column is text, the others numbers or short words."""
    head = "".join(f"<th{_numeric(k)}>{escape(name)}</th>" for k, name in enumerate(columns))
    body = "".join(
        "<tr>" + "".join(f"<td{_numeric(k)}>{escape(v)}</td>" for k, v in enumerate(r)) + "</tr>"
        for r in rows
    )
    return (
        f'<details><summary>{escape(summary)}</summary><div class="scroll"><table><thead><tr>'
        f"{head}</tr></thead><tbody>{body}</tbody></table></div></details>"
    )


def fact_table(facts: Mapping[str, str]) -> str:
    """Names and values."""
    rows = "".join(
        f"<tr><th scope='row'>{escape(str(k))}</th><td>{escape(str(v))}</td></tr>"
        for k, v in facts.items()
    )
    return f'<table class="facts"><tbody>{rows}</tbody></table>'


def words(items: Mapping[str, str]) -> str:
    """A glossary."""
    return (
        '<dl class="words">'
        + "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in items.items())
        + "</dl>"
    )


def _numeric(column: int) -> str:
    return ' class="number"' if column else ""
