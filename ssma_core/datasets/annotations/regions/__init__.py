"""Parts of a mask as the tools write them: polygons and run lengths, as arrays and back."""
