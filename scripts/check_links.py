"""Checks that every relative link of the Markdown files leads to a file, and to a heading where it names one."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

CHECKOUT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(<?([^)<>\s]+)>?(?:\s+\"[^\"]*\")?\)")
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)


def pages() -> list[Path]:
    """Returns the Markdown files that git knows or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [CHECKOUT / name for name in listed.stdout.split("\0") if name and (CHECKOUT / name).exists()]


def anchors(page: Path) -> set[str]:
    """Returns the fragments that a page's headings answer to, formed as GitHub forms them."""
    found: dict[str, int] = {}
    names = set()
    for heading in HEADING.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        count = found.get(slug, 0)
        found[slug] = count + 1
        names.add(f"{slug}-{count}" if count else slug)
    return names


def broken(page: Path) -> Iterator[str]:
    """Yields one sentence for each link of a page that leads nowhere."""
    for target in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        path, _, fragment = unquote(target).partition("#")
        leads_to = (page.parent / path).resolve() if path else page
        if not leads_to.exists():
            yield f"{page.relative_to(CHECKOUT)}: {target}: there is no such file"
        elif fragment and leads_to.suffix == ".md" and fragment not in anchors(leads_to):
            yield f"{page.relative_to(CHECKOUT)}: {target}: the page has no such heading"


def main() -> int:
    """Prints what is broken.

    Returns:
        The exit code: 0, or 1 when a link is broken.
    """
    checked = pages()
    mistakes = [mistake for page in checked for mistake in broken(page)]
    for mistake in mistakes:
        print(mistake)
    print(f"links: {len(checked)} pages, {len(mistakes)} broken links")
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main())
