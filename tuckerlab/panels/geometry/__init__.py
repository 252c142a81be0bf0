"""The geometry panel: why ordinary gradient descent on the factors crawls, and the Riemannian step does not."""
