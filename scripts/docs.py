#!/usr/bin/env python3
"""scripts/docs.py [--check] TABLES: writes the tables in docs/ anew, by the program TABLES (scripts/tables.c).

In a page, a table stands between `<!-- table: NAME -->` and `<!-- end -->`; the files in WHOLE are printed as they are.
With --check nothing is written; prints TAP, one line for each page, and fails for those that are stale. Tests that a page
names must be there.
"""

import glob
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WHOLE = {"policy.schema.json": "schema"}
TEST = re.compile(r"`(tests/[a-z0-9_./]+)`")
PLACE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main():
    check = "--check" in sys.argv
    tables = sys.argv[-1]

    def printed(name):
        return subprocess.run([tables, name], stdout=subprocess.PIPE, check=True).stdout.decode()

    def table(match):
        return match.group(1) + printed(match.group(2)) + match.group(3)

    number = stale = 0
    whole = [os.path.join(ROOT, "docs", name) for name in WHOLE]
    for path in sorted(glob.glob(os.path.join(ROOT, "docs", "*.md"))) + whole:
        old = ""
        if os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                old = f.read()
        missing = [t for t in TEST.findall(old) if not os.path.exists(os.path.join(ROOT, t))]
        if path not in whole and not PLACE.search(old) and not missing:
            continue
        number += 1
        new = printed(WHOLE[os.path.basename(path)]) if path in whole else PLACE.sub(table, old)
        name = os.path.relpath(path, ROOT)
        if check:
            good = new == old and not missing
            stale += not good
            print("%s %d - %s%s" % ("ok" if good else "not ok", number, name + " is up to date",
                                    ", but there is no " + ", ".join(missing) if missing else ""))
        elif new != old:
            with open(path, "w", encoding="utf-8") as f:
                f.write(new)
            print("  " + name)
    if check:
        print("1..%d" % number)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
