"""The preset "robots": cameras mounted and erring as on many robots, in more kinds of places."""
