"""Asks a running server what lakeFS was asked in one area, but for what waits for a feature.

  check_area.py URL AREA          (keys of an administrator in ACCESS_KEY and SECRET_KEY)

Runs conformance.py on the area, with better.txt, and compares the steps that differ with AREA_later.txt, whose
lines are PATTERN | WHY (a regular expression of the whole label): every step that differs must fit a line, and
every line must still be needed.
"""
import os, re, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
url, area = sys.argv[1:]

later = {}
for line in open(os.path.join(HERE, f"{area}_later.txt")):
    if line.strip() and not line.startswith("#"):
        pattern, why = line.rstrip("\n").split(" | ", 1)
        later[pattern] = why

done = subprocess.run(
    [sys.executable, os.path.join(HERE, "conformance", "conformance.py"), "check", url, "--only", area,
     "--allow", os.path.join(HERE, "better.txt")],
    capture_output=True, text=True)
print(done.stdout, done.stderr, sep="\n")

summary = re.search(rf"^{area}: (\d+) steps, (\d+) same, (\d+) better", done.stdout, re.M)
if not summary or int(summary[2]) == 0:
    sys.exit("conformance.py did not come to its end")

# A label may itself hold ": "; what follows it is the method and the path.
differs = re.findall(rf"^-- {area}/(.*?): (?:GET|HEAD|POST|PUT|PATCH|DELETE) ", done.stdout, re.M)
wrong = [label for label in differs if not any(re.fullmatch(p, label) for p in later)]
stale = [p for p in later if not any(re.fullmatch(p, label) for label in differs)]
for label in wrong:
    print(f"differs: {label}")
for pattern in stale:
    print(f"no step differs any more, remove it from {area}_later.txt: {pattern}")
sys.exit(1 if wrong or stale else 0)
