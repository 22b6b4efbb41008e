"""Ground floor: folders, column contracts, provenance, errors. Imports no other room."""
