"""Checks the intended differences from lakeFS, without a server.

  check_lines.py FILE     (lines in the format of conformance/better.txt)

Fails if lakeFS's recorded response matches a line: such a line would allow Weir to respond like lakeFS, although it says
that lakeFS is wrong there. Also fails if a line names a step that was not recorded.
"""
import json
import os
import re
import sys

RECORDED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "conformance", "recorded")


def recorded_steps():
    """Returns the recorded steps by AREA/LABEL. A label can occur more than once."""
    steps = {}
    for name in os.listdir(RECORDED):
        area = name.removesuffix(".jsonl")
        with open(os.path.join(RECORDED, name)) as lines:
            for line in lines:
                step = json.loads(line)
                steps.setdefault(f"{area}/{step['label']}", []).append(step)
    return steps


def matches(answer, step):
    """Returns whether a response matches the answer of a line. Uses the same rules as conformance.py."""
    expected, _, text = answer.partition(" ~ ")
    status, *codes = expected.split()
    seen = json.dumps([step["headers"], step["body"]])
    return str(step["status"]) == status and all(f'"Code": ["{code}"]' in seen for code in codes) and text in seen


def main(file):
    steps, wrong = recorded_steps(), []
    for number, line in enumerate(open(file), 1):
        if not line.strip() or line.startswith("#"):
            continue
        label, answer = re.match(r"(.*?): (\d{3}\b.*)", line.split(" | ")[0]).groups()
        if label not in steps:
            wrong.append(f"{file}:{number}: no such step was recorded: {label}")
        elif any(matches(answer, step) for step in steps[label]):
            wrong.append(f"{file}:{number}: lakeFS's own response matches this line; name what differs: {label}")
    print("\n".join(wrong))
    sys.exit(1 if wrong else 0)


main(sys.argv[1])
