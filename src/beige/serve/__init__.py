"""HTTP: the routes that clients of OpenAI, Cohere, Jina and TEI speak, Beige's own, and lanes that order their work.

Everything but `settings` and `keys` needs the extra "serve".
"""
