"""Where vectors live: the store contract, SQLite with its caches, the manifest, the indexing pipeline."""
