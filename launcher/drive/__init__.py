"""Google Drive: mounting it, and keeping on it what the web UI writes."""
