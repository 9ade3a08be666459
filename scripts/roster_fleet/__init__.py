"""What the control node does for a fleet: vault files, onboarding, reports."""
