"""Layers that replace those of a model during training, so that no result depends on how a batch is split."""
