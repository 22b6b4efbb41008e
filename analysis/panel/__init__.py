"""First room: raw files to county-year panel."""
