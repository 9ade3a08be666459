"""What tests share: invented rosters, servers, districts, fleets, forks."""
