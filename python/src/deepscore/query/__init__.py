"""What a query as a whole says of each of its cells."""
