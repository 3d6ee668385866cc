"""What a bag says of its cameras."""
