"""Whether the sensors work: what comes, what is blank, what stays away."""
