"""Who would be removed, added and changed, for root's terminal and nowhere else."""
