"""How long the main steps take and what they hold in memory: ``python -m tests.benchmarks``. Not part of the suite."""
