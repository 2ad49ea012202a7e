"""What a model is worth: figures on held-out windows, promotion, the model card."""
