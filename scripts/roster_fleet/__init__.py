"""The control node's own Python: onboarding, vault files, questions to hosts, the status page."""
