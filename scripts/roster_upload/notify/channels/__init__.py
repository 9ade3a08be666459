"""The channels of alerts, one module each. `notify.notifier` lists those that carry events."""
