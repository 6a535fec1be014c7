"""The public functions and classes of the package: thin and typed, over the other rooms."""
