"""The instant slider: size against accuracy, time and cost, without training anything."""
