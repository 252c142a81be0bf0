"""What the notebooks on geometry compute and show: planted weights, rank cycles, a divergence."""
