"""The sensors' health: images, blank images, missing images."""
