"""The plots of docs/benchmarks.md, drawn by gnuplot as small SVG texts. Used by tests/bench/run.py."""

import os
import shutil
import subprocess

STYLE = """set terminal svg size 760,420 font "sans-serif,13" background "#ffffff" noenhanced
set output "{output}"
set grid lc rgb "#dddddd"
set border 3
set tics nomirror
set key {key}
"""

LATENCY = """set xlabel "request to answer, ms"
set ylabel "runs that took at most this, %"
set logscale x
set yrange [0:100]
plot {curves}
"""

LOAD = """set xlabel "runs a second that arrive"
set ylabel "runs a second that are answered"
set y2label "ms from due to answered"
set y2tics
set xrange [0:]
set yrange [0:]
set logscale y2
plot "{data}" using 1:2 with linespoints lw 2 pt 7 ps 0.5 title "answered a second", \\
     x with lines dt 2 lc rgb "#999999" title "as many as arrive", \\
     "{data}" using 1:3 axes x1y2 with linespoints lw 2 pt 7 ps 0.5 title "latency, median", \\
     "{data}" using 1:4 axes x1y2 with linespoints lw 2 pt 7 ps 0.5 title "latency, p99"
"""

POINTS_MAX = 80  # of a curve: more are not seen


def available():
    return shutil.which("gnuplot") is not None


def cumulative(buckets):
    """From [[us, how many took at most that and more than the one before]]: (ms, percent that took at most that)."""
    total, seen, points = sum(n for _, n in buckets), 0, []
    for us, n in buckets:
        seen += n
        points.append((us / 1000, 100 * seen / total))
    step = max(len(points) // POINTS_MAX, 1)
    return points[:-1:step] + points[-1:]


def _draw(script, output, scratch, **parts):
    path = os.path.join(scratch, "plot.gp")
    with open(path, "w", encoding="utf-8") as f:
        f.write((STYLE + script).format(output=output, **parts))
    subprocess.run(["gnuplot", path], check=True)
    with open(output, encoding="utf-8") as f:
        lines = [line.rstrip() for line in f if line.strip()]
    with open(output, "w", encoding="utf-8") as f:
        f.write("\n".join(lines) + "\n")


def _data(scratch, name, points):
    path = os.path.join(scratch, name)
    with open(path, "w", encoding="utf-8") as f:
        f.writelines(" ".join("%.4g" % value for value in point) + "\n" for point in points)
    return path


def latency(curves, output, scratch):
    """curves: [(title, buckets as of brig bench --json)]."""
    said = []
    for i, (title, buckets) in enumerate(curves):
        said.append('"%s" with steps lw 2 title "%s"' % (_data(scratch, "curve%d" % i, cumulative(buckets)), title))
    _draw(LATENCY, output, scratch, curves=", \\\n     ".join(said), key="bottom right")


def load(steps, output, scratch):
    """steps: [(arriving a second, answered a second, median in ms, p99 in ms)]."""
    _draw(LOAD, output, scratch, data=_data(scratch, "steps", steps), key="top left")
