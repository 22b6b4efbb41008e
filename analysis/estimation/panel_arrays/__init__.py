"""What estimators of staggered adoption share: a panel as arrays, absorbed effects, regressions with influence."""
