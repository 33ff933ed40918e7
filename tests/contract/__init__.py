"""What every driver must keep."""
