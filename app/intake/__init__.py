"""What is sent in over HTTP: events, and bulk facts."""
