"""What a model is: a declaration in plain PyTorch, on a graph of control volumes, with forcing in time."""
