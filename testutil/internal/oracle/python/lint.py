# Reads one policy a line, as the other oracle does, and prints what parliament finds in it.
import json
import sys

from parliament import analyze_policy_string

for line in sys.stdin:
    q = json.loads(line)
    found = analyze_policy_string(json.dumps(q["policy"]))
    print(json.dumps({"faults": [f"{f.issue}: {f.detail} {f.location}" for f in found.findings]}))
