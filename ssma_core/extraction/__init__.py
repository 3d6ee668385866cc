"""Frames out of bags, to be labelled: pairs as the node forms them, all or those worth it."""
