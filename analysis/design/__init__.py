"""Second room: a panel and a spec become a Design, the only thing estimators accept."""
