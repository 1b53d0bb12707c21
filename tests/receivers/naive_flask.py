"""A receiver as it is often written: Flask's `get_json`, no schema, no limits. Prints its URL, then serves."""

from flask import Flask, request
from waitress.server import create_server

app = Flask("naive")
known = set()


@app.post("/hook")
def hook() -> tuple[str, int]:
    payload = request.get_json(force=True)
    known.add((payload["event"], payload["data"].get("consentId")))
    return "", 204


server = create_server(app, host="127.0.0.1", port=0)
print(f"http://127.0.0.1:{server.effective_port}/hook", flush=True)
server.run()
