"""What every package needs: problems, settings, the status, folders, processes."""
