"""The portal: the provider's "Webhooks" tab in a browser, beside the API on the same listener.

`app` (the API and the pages as one application) · `endpoints`, `firing`, `scenarios`, `attempts` (the pages) · `form`
(fields from a schema, and back; pure) · `playing` (a scenario played in the background) · `templates/`.
"""
