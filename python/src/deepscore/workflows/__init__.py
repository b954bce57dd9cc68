"""One function for each verb, from blocks of cells to its result."""
