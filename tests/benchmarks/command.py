"""A benchmark as a user starts it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def run_quick(module: str) -> tuple[str, dict[str, Any]]:
    """What a benchmark prints at toy size, and the JSON object of its last line."""
    command = [sys.executable, "-m", f"benchmarks.{module}", "--quick", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(done.stdout.splitlines()[-1])
