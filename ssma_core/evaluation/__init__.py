"""How good a model is: metrics, inference over data, results, and their comparison."""
