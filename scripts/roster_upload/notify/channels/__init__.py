"""The channels of alerts, one module each. `notify.alerts` lists those that carry events."""
