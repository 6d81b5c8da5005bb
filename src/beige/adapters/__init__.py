"""Beige as other frameworks' parts: thin, and imported by name only, since each needs a package that Beige does not.

`beige.adapters.langchain` needs langchain-core, `beige.adapters.llama_index` llama-index-core.
"""
