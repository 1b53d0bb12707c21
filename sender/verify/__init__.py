"""Verifying a receiver, in any language: what the contract implies, sent to it, and its answers judged by rules.

The rooms, in the order of the data: `shapes` (bodies from a schema, good and bad, on `values`) and `notation` (the same
JSON written otherwise, and what is none) · `rules` (what an answer has to be, and by which source) · `cases` (all that
is sent, each with its id, body and rule) · `runner` (sends each once) · `record`, `report` and `junit` (what is told)
· `testing` (the cases for a test).
"""
