"""`python tests/benchmarks/large_body.py`: a body of 1,000 transactions, from its bytes to its commit on disk, against
what jsonschema alone needs to validate it once it is parsed; in turns.

jsonschema is at its best: its validator is made once, and checks neither formats nor the envelope. Ours checks both. In
this process it is called without a server and without handlers; over HTTP it is `receiver run` with a handler.
"""

import io
import json
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # before this directory, where `receiver` is a benchmark

from jsonschema import Draft202012Validator
from servers import ours, turn

from receiver import create_app
from receiver.contract import Contract, Verdict
from receiver.delivery import parse

EVENT = "transactions.listed"
TRANSACTIONS = 1_000
ROUNDS = 15
HTTP_SECONDS = 0.3
TRANSACTION = {
    "type": "object",
    "properties": {
        "transactionId": {"type": "string", "format": "uuid"},
        "accountId": {"type": "string", "format": "uuid"},
        "bookedOn": {"type": "string", "format": "date"},
        "amount": {"type": "number"},
        "currency": {"type": "string", "pattern": "^[A-Z]{3}$"},
        "counterparty": {"type": ["string", "null"], "maxLength": 70},
        "description": {"type": "string", "maxLength": 140},
        "pending": {"type": "boolean"},
    },
    "required": ["transactionId", "accountId", "bookedOn", "amount", "currency", "pending"],
}
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "properties": {
        "event": {"const": EVENT},
        "data": {
            "properties": {"transactions": {"type": "array", "items": TRANSACTION, "minItems": TRANSACTIONS}},
            "required": ["transactions"],
        },
    },
}


def main() -> None:
    data = {"transactions": [transaction(number) for number in range(TRANSACTIONS)]}
    body = json.dumps({"event": EVENT, "data": data}).encode()
    print(f"{TRANSACTIONS:,} transactions, {len(body) / 1000:,.0f} kB; medians of {ROUNDS} rounds")
    with tempfile.TemporaryDirectory(dir=ROOT, prefix=".bench-") as temporary, ExitStack() as stack:
        folder, schemas = Path(temporary), Path(temporary, "schemas")
        schemas.mkdir()
        (schemas / f"{EVENT}.json").write_text(json.dumps(SCHEMA), encoding="utf-8")
        actions = {
            "jsonschema validates it": jsonschema_alone(data),
            "parsed, strictly": lambda: took(lambda: parse(body)),
            "judged": judged(body, schemas),
            "parsed, judged, on disk": stack.enter_context(in_process(body, schemas, folder / "state")),
            "the same over HTTP": stack.enter_context(over_http(body, schemas, folder)),
        }
        rounds = [[action() for action in actions.values()] for _ in range(ROUNDS)]
    for name, times in zip(actions, zip(*rounds, strict=True), strict=True):
        ratio = statistics.median(time / first for time, (first, *_) in zip(times, rounds, strict=True))
        print(f"{name:24} | {statistics.median(times):6.2f} ms | {ratio:5.2f}")


def transaction(number: int) -> dict[str, Any]:
    return {
        "transactionId": str(uuid.uuid4()),
        "accountId": "57ee0578-5bf4-4dcf-a1fa-08db5aa0e6b2",
        "bookedOn": f"2026-11-{number % 30 + 1:02}",
        "amount": round(number * -1.37, 2),
        "currency": "EUR",
        "counterparty": f"Counterparty {number}" if number % 9 else None,
        "description": f"Made up for a benchmark, number {number}",
        "pending": number % 50 == 0,
    }


def jsonschema_alone(data: dict[str, Any]) -> Callable[[], float]:
    payload, validator = {"event": EVENT, "data": data}, Draft202012Validator(SCHEMA)
    return lambda: took(lambda: validator.validate(payload))


def judged(body: bytes, schemas: Path) -> Callable[[], float]:
    payload, contract = parse(body), Contract(schemas)
    if (judgement := contract.judge(payload)).verdict is not Verdict.VALID:
        raise AssertionError(judgement)
    return lambda: took(lambda: contract.judge(payload))


@contextmanager
def in_process(body: bytes, schemas: Path, state: Path) -> Iterator[Callable[[], float]]:
    """One POST to the WSGI application."""
    app = create_app(schemas=schemas, state=state)

    def post() -> None:
        environ = {"REQUEST_METHOD": "POST", "PATH_INFO": "/webhook", "CONTENT_TYPE": "application/json"}
        app({**environ, "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}, lambda *_: None)

    yield lambda: took(post)
    app.extensions["receiver"].close()


@contextmanager
def over_http(body: bytes, schemas: Path, folder: Path) -> Iterator[Callable[[], float]]:
    """The median of some POSTs to `receiver run`, whose handlers are waited for afterwards."""
    with ours(folder, "--schemas", str(schemas), body=body) as server:
        yield lambda: turn(server, 1, HTTP_SECONDS).load.p50


def took(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()
