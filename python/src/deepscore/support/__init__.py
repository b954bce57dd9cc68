"""What every room may use: arguments, files, threads and notices."""
