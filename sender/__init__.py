"""The sending side: simulates EnableNow, exactly one POST per event and endpoint, never a retry.

The rooms, in the order of the data: `payload` (the exact bytes) · `ledger` (what was sent, on the receiver's `store`) ·
`post` (one POST, on a `wire`) · `fire` (the three in a sentence) · `volley` (many side by side) · `tally` (what those
came to) · `report` (what is told) · `cli` (the command) · `testing` and `pytest_plugin` (firing from a test). It stands
on the receiver's `contract`, `store`, `terminal` and `settings`, and on nothing else of it.
"""
