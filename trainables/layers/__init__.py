"""What a model's layers become while it trains, so that no result depends on how a batch is split."""
