"""The settings: their table, where they come from, how they are checked, and how they are shown."""
