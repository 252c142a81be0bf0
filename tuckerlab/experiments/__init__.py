"""Many networks compared: methods, runs over seeds, records, their summaries and pictures, sweeps, the audit."""
