"""What stands in the forest, as pictures."""
