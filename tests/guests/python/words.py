# The CPython guest of the scenario tests: given on standard input.
import collections
import json
import sys

text = "the quick brown fox jumps over the lazy dog"
counts = collections.Counter(text.split())
print(json.dumps({"the": counts["the"], "words": sum(counts.values()), "version": sys.version_info[:2]}))
try:
    open("/etc/passwd")
except OSError as error:
    print("no files here:", type(error).__name__)
