"""What a checkpoint is: catalogue, files, sources, tokenizers, fingerprint."""
