"""The files that several of these tools read and write."""
