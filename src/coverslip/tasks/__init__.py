"""What scores mean."""
