"""Sweeps: methods × settings × seeds as an Optuna study, by one worker or many, that can be killed at any time."""
