"""One network and its training: models, recipe, loop, checkpoints, the guard, what a network costs."""
