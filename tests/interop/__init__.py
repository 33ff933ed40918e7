"""Programs none of us wrote, at the other end of the line."""
