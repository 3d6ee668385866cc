"""Pictures as bytes: what their headers say, whether they are whole, and their values as stored."""
