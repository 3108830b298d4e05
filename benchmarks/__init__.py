"""How fast the service is, measured on data that is made for it."""
