"""The roll-out panel: a fault is put into a new network, and the stages catch it or do not."""
