"""What every room needs: problems, settings, the board, folders, processes."""
