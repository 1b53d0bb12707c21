"""The sending side: simulates EnableNow, exactly one POST per event and endpoint, never a retry.

The rooms, in the order of the data: `scenario` and `play` (many events) or `payload` (one: the exact bytes) ·
`endpoints` (which events go where) and `aim` (so, where these go) · `ledger` (what was sent, on the receiver's `store`)
· `signature`, `faults`, `post` (one POST, on a `wire`) · `fire` (intent, POST, outcome) · `volley` (many side by side)
· `tally` and `report` (what is told) · `forward` (from the receiver's inbox to an application) · `api` · `verify` ·
`cli` (the command) · `testing` and `pytest_plugin`. It stands on the receiver, never the other way.
"""
