"""The API is as its description says, for whatever a generator of requests makes of that description."""

import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT, SOON, printing, wait_for

SCHEMATHESIS = ROOT / ".schemathesis" / "bin" / "schemathesis"
"""In an environment of its own: its plugin would take part in every run of pytest."""


@pytest.mark.slow
def test_each_operation_keeps_to_the_description() -> None:
    """All checks but one: that a request is valid by its schema does not say that its event is known."""
    if not SCHEMATHESIS.exists() and os.environ.get("CI") != "true":
        pytest.skip("no schemathesis is installed; .ci/run says how")
    serving = [sys.executable, "-m", "sender", "serve", "--port", "0", "--token", "tok", "--timeout", "1", "--json"]
    with printing(serving) as printed:
        url = json.loads(wait_for(printed, "the first line").splitlines()[0])["url"]
        words = [str(SCHEMATHESIS), "run", f"{url}/openapi.json"]
        limits = ["--max-examples", "20", "--generation-deterministic", "--request-timeout", str(SOON)]
        check = ["--exclude-checks", "positive_data_acceptance", "-H", "Authorization: Bearer tok"]
        ended = subprocess.run([*words, *limits, *check], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Tested: 9" in ended.stdout
