"""What is served to this machine alone, in a browser or by a script: the inspector, the portal, the API.

`guard` (who may ask, and problems) · `token` (what they prove it with) · `look` (templates, styles and scripts that the
pages share).
"""
