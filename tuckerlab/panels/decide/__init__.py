"""The panel where a manager decides: a run, your numbers, and whether it pays."""
