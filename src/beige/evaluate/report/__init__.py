"""A run's record as pages for people: HTML in one file without outside requests, Markdown, and lines of a table."""
