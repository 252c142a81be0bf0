"""The engine: Tucker tensors and their manifold, layers, rank policies, optimizers, conversion. Needs torch alone."""
