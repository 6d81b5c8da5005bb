"""Where vectors live: the store contract, SQLite with its caches, the manifest, the indexing pipeline."""

from beige.index.index import Index as Index
from beige.index.place import place_of as place_of
from beige.index.status import Status as Status
