"""What people look at: columns, pictures and the report."""
