"""The inspector: what the user sees of a running receiver in a browser, or asks it from a script; on a listener of its
own, on loopback. The hook's listener shows nothing of it.

`app` (the Flask app) · `pages` and `api` (its routes) · `rooms` (what stands behind it, and what it may show) ·
`asked` (filters in a URL) · `actions` (run again, judge again, a sample) · `body`, `activity`, `copies` (what is shown
of a delivery, of an hour, of what to send again; pure) · `templates`.
"""
