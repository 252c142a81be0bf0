"""The training panel: press Train, and see loss, accuracy, size and ranks move while the notebook stays free."""
