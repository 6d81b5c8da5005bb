"""The store contract on a Qdrant server or cluster, through `qdrant-client`."""
