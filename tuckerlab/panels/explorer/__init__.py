"""The Tucker explorer: a photograph or a kernel, its ranks on sliders, and what is left of it."""
