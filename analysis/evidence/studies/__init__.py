"""The published studies, one module each: what was done, what is known of it, and which of our specifications answer."""
