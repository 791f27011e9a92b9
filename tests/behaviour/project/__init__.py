"""What the behaviour suite runs: an application as a user would write one, its tasks in a module for each subject."""

from pathlib import Path

#: Every module of this folder, found by itself.
MODULES = sorted(f"project.{path.stem}" for path in Path(__file__).parent.glob("*.py") if path.stem != "__init__")
