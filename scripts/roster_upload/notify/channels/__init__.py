"""The channels: the heartbeat, and Apprise for alerts."""
