"""The sensors' health: which images come, which are blank, which stay away."""
