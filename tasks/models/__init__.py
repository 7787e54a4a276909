"""Networks: the encoder, the cross-encoder, and where their weights come from."""
