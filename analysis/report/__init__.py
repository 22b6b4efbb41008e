"""Fifth room: figures, tables, numbers, pages."""
