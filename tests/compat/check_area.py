"""Compares a running server with lakeFS's recorded responses in one area. All differences count, including message texts.

  check_area.py URL AREA          (needs an administrator's ACCESS_KEY and SECRET_KEY)

Runs conformance.py on the area with its better.txt and this folder's better.txt. A step may differ only if a line of
AREA_later.txt matches it. These lines have the form `PATTERN | WHY`: a regular expression that matches the whole label,
and the feature that the step waits for. A line that matches no differing step is an error too.
"""
import os, re, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
url, area = sys.argv[1:]

later = {}
path = os.path.join(HERE, f"{area}_later.txt")
for line in open(path) if os.path.exists(path) else []:
    if line.strip() and not line.startswith("#"):
        pattern, why = line.rstrip("\n").split(" | ", 1)
        later[pattern] = why

done = subprocess.run(
    [sys.executable, os.path.join(HERE, "conformance", "conformance.py"), "check", url, "--only", area,
     "--allow", os.path.join(HERE, "better.txt"), "--verbose"],
    capture_output=True, text=True)
print(done.stdout, done.stderr, sep="\n")

summary = re.search(rf"^{area}: (\d+) steps, (\d+) same, (\d+) better", done.stdout, re.M)
if not summary or int(summary[2]) == 0:
    sys.exit("conformance.py did not run the recorded steps")
# If a feature is missing, steps that depend on it may be skipped. They count as differences below.
other = re.search(r"other steps were taken than on the reference \((\d+) for (\d+)\)", done.stdout)
if other and int(other[2]) - int(other[1]) != done.stdout.count("(not asked)"):
    sys.exit("conformance.py ran other steps than the recorded ones")

# A label may contain ": ". Method and path follow the label.
differs = re.findall(r"^-- " + area + r"/(.*?): (?:GET|HEAD|POST|PUT|PATCH|DELETE) ", done.stdout, re.M)
wrong = [label for label in differs if not any(re.fullmatch(p, label) for p in later)]
unused = [p for p in later if not any(re.fullmatch(p, label) for label in differs)]
for label in wrong:
    print(f"differs: {label}")
for pattern in unused:
    print(f"no step differs any more; remove the line from {area}_later.txt: {pattern}")
sys.exit(1 if wrong or unused else 0)
