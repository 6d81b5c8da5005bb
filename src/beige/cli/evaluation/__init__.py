"""The commands below `beige evaluate`, one file each."""
