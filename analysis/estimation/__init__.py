"""Third room: a Design becomes an Estimate. No files, no panel, no figures; one estimator never imports another."""
