#!/usr/bin/env python3
"""scripts/docs.py [--check] TABLES: writes the tables in docs/ anew, by the program TABLES (scripts/tables.c).

In a page, a table stands between `<!-- table: NAME -->` and `<!-- end -->`. With --check nothing is written; prints TAP,
one line for each page, and fails for those that are stale.
"""

import glob
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PLACE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main():
    check = "--check" in sys.argv
    tables = sys.argv[-1]

    def table(match):
        text = subprocess.run([tables, match.group(2)], stdout=subprocess.PIPE, check=True).stdout.decode()
        return match.group(1) + text + match.group(3)

    number = stale = 0
    for path in sorted(glob.glob(os.path.join(ROOT, "docs", "*.md"))):
        with open(path, encoding="utf-8") as f:
            old = f.read()
        if not PLACE.search(old):
            continue
        number += 1
        new = PLACE.sub(table, old)
        name = os.path.relpath(path, ROOT)
        if check:
            stale += new != old
            print("%s %d - %s" % ("ok" if new == old else "not ok", number, name + " is up to date"))
        elif new != old:
            with open(path, "w", encoding="utf-8") as f:
                f.write(new)
            print("  " + name)
    if check:
        print("1..%d" % number)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
