"""Chat pages of other makers, installed from registries and driven through a whole daemon."""
