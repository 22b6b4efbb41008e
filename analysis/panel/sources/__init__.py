"""One module a provider: a raw file in, a tidy table out. Nothing is filled and nothing is derived here."""
