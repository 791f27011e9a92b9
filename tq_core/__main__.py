"""``python -m tq_core`` is ``tq``."""

from tq_core.cli.main import main

main()
