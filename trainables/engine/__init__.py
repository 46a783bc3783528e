"""How a run is trained, in PyTorch alone."""
