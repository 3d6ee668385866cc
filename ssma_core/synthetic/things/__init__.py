"""The things in the forest, as sprites."""
