"""Notifications: alerts by webhook and mail, heartbeats, metrics."""
