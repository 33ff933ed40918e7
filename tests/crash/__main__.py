"""``python -m tests.crash [NAME…] [--count N] [--seed N]``: crash journals, many times.

Exit 1 when something was lost, or when a control lost nothing.
"""

from __future__ import annotations

import argparse
import random
import sys
import time

from tests.crash.catalogue import TRIALS
from tests.faults.rigs import absent

_SHOWN = 20


def main() -> int:
    """Run what was named, or everything."""
    parser = argparse.ArgumentParser(prog="tests.crash", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *TRIALS], metavar="NAME")
    parser.add_argument("--count", type=int)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    return max(_run(name, options) for name in options.names or TRIALS)


def _run(name: str, options: argparse.Namespace) -> int:
    trial = TRIALS[name]
    reasons = [reason for rig in trial.requires if (reason := absent(rig))]
    if reasons:
        print(f"{name:15} not run: {reasons[0]}", flush=True)
        return 0
    began = time.monotonic()
    result = trial.run(options.count or trial.many, options.seed)
    took_s = time.monotonic() - began
    print(f"{name:15} {result.text()} ({took_s:.0f} s, seed {options.seed})", flush=True)
    for failure in result.failures[:_SHOWN]:
        print(f"    {failure}", flush=True)
    if result.proves_nothing:
        print("    the control lost nothing: this shows nothing", flush=True)
    return 1 if result.failures or result.proves_nothing else 0


if __name__ == "__main__":
    sys.exit(main())
