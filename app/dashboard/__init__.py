"""The dashboard: the pages that people see, served beside the API whose client they are."""
