"""How tensors run on a device: batches by token budget, the OpenVINO graph."""
