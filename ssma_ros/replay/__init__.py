"""Bags onto topics, and the node evaluated on them."""
