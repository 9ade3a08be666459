"""Helpers that several tests use: invented rosters, servers, districts, fleets, forks."""
