"""What a model says of many frames: as pictures, in a copy of the bag, and as a video."""
