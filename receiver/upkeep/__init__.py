"""The upkeep of a contract: what is wrong with it, what its changes mean, and what really comes set against it.

The rooms: `lint` (everything that is wrong with schemas and samples) · `revision`, `changes`, `containment` and
`compatibility` (two versions compared) · `drift` (what came, where it departs), `infer` (a draft from what came) ·
`sanitise` (a sample of what came, without a real value). Behind `receiver schemas` and `receiver export`.
"""
