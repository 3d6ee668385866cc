"""The rendered forest."""
