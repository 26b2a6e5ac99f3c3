#!/usr/bin/env python3
"""Draws a timeline of cfutures as SVG, for documents; to look at one, open it in a viewer.

    timeline.py FILE.json > FILE.svg

A row each worker with the runs of its tasks, marks for what happened to it, and below that how many
tasks were queued and running.
"""

import html
import json
import signal
import sys

WIDTH, LEFT, ROW, BAR, CURVE = 1100, 130, 30, 20, 60
COLOURS = {"succeeded": "#7fb77e", "failed": "#e8a33d", "crashed": "#d9534f", "expired": "#b06fc4",
           "cancelled": "#9a9a9a", "broken": "#555555", "detached": "#7da7d9"}
MARKS = {"worker died": "#d9534f", "worker killed": "#b06fc4", "worker restarted": "#1d4f91",
         "worker started": "#6aaee8", "supervisor died": "#d9534f"}


def row_of(event):
    return event["pid"], event["tid"]


class Picture:
    def __init__(self, events):
        timed = [e for e in events if e["ph"] != "M"]
        self.begin = min(e["ts"] for e in timed)
        self.end = max(e["ts"] + e.get("dur", 0) for e in timed)
        kinds = ("process_name", "thread_name")
        self.names = {row_of(e): e["args"]["name"] for e in events if e["name"] in kinds}
        self.slices = [e for e in events if e["ph"] == "X"]
        self.marks = [e for e in events if e["ph"] == "i" and e["name"] in MARKS]
        self.counters = [e for e in events if e["ph"] == "C"]
        seen = sorted(self.slices + self.marks, key=lambda e: e["ts"])
        self.rows = list(dict.fromkeys(row_of(e) for e in seen))
        self.out = []

    def x(self, ts):
        return LEFT + (WIDTH - LEFT - 10) * (ts - self.begin) / max(self.end - self.begin, 1)

    def text(self, x, y, text, style=""):
        self.out.append(f'<text x="{x:.1f}" y="{y:.1f}" {style}>{html.escape(text)}</text>')

    def draw_slice(self, event):
        top = self.rows.index(row_of(event)) * ROW + 5
        left = self.x(event["ts"])
        width = max(self.x(event["ts"] + event["dur"]) - left - 0.5, 1)
        outcome = event["args"]["outcome"]
        name = html.escape(f'{event["name"]}: {outcome}, {event["dur"] / 1000:.2f} ms')
        self.out.append(f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{BAR}" '
                        f'fill="{COLOURS[outcome]}"><title>{name}</title></rect>')
        room = int(width / 6.2)
        if room >= 4:
            shown = event["name"] if len(event["name"]) <= room else event["name"][:room - 1] + "…"
            self.text(left + 3, top + 14, shown)

    def draw_mark(self, event):
        top, at = self.rows.index(row_of(event)) * ROW, self.x(event["ts"])
        self.out.append(f'<path d="M{at:.1f} {top + 2} v{ROW - 4} m-3 -{ROW - 4} h6" fill="none" '
                        f'stroke="{MARKS[event["name"]]}" stroke-width="1.6">'
                        f'<title>{html.escape(event["name"])}</title></path>')

    def draw_curve(self, key, colour, top):
        most = max([e["args"][key] for e in self.counters] + [1])
        points, before = [f"M{LEFT} {top + CURVE}"], 0
        for event in self.counters:
            x = self.x(event["ts"])
            points += [f"L{x:.1f} {top + CURVE - before * CURVE / most:.1f}",
                       f"L{x:.1f} {top + CURVE - event['args'][key] * CURVE / most:.1f}"]
            before = event["args"][key]
        self.out.append(f'<path d="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="1.4"/>')
        self.text(4, top + 12, f"{key} (max. {most})", f'fill="{colour}"')

    def draw_axis(self, top):
        whole = (self.end - self.begin) / 1000
        for part in range(5):
            x = self.x(self.begin + part / 4 * (self.end - self.begin))
            self.out.append(f'<path d="M{x:.1f} 0 V{top}" stroke="#ddd" stroke-width="0.6"/>')
            style = f'text-anchor="{"end" if part == 4 else "middle"}"'
            self.text(x, top + 13, f"{whole * part / 4:.0f} ms", style)

    def draw_legend(self, top):
        used = [o for o in COLOURS if any(e["args"]["outcome"] == o for e in self.slices)]
        marks = [m for m in MARKS if any(e["name"] == m for e in self.marks)]
        at = LEFT
        for name, colour in [(o, COLOURS[o]) for o in used] + [(m, MARKS[m]) for m in marks]:
            width = 10 if name in used else 2
            self.out.append(f'<rect x="{at}" y="{top}" width="{width}" height="10" fill="{colour}"/>')
            self.text(at + width + 4, top + 9, name)
            at += 30 + width + 6.3 * len(name)

    def draw(self):
        bottom = len(self.rows) * ROW + 8
        curves = bottom + CURVE * 2 + 24
        self.draw_axis(curves)
        for number, row in enumerate(self.rows):
            self.text(4, number * ROW + 19, self.names.get(row, f"thread {row[1]}"))
        for event in self.slices:
            self.draw_slice(event)
        for event in self.marks:
            self.draw_mark(event)
        self.draw_curve("running", "#2f6fb5", bottom)
        self.draw_curve("queued", "#c07000", bottom + CURVE + 12)
        self.draw_legend(curves + 24)
        print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {curves + 42}" '
              'font-family="sans-serif" font-size="11">')
        print(f'<rect width="{WIDTH}" height="{curves + 42}" fill="#fff"/>')
        print("\n".join(self.out))
        print("</svg>")


def main():
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    with open(sys.argv[1], encoding="utf-8") as file:
        Picture(json.load(file)).draw()
    return 0


if __name__ == "__main__":
    sys.exit(main())
