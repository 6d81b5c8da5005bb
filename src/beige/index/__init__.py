"""Where vectors live: the store contract, SQLite with its caches, the manifest, the indexing pipeline."""

from beige.index.index import Index as Index
