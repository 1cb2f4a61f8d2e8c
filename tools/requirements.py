"""Prints what pip must install before the package is built: ``requirements.py EXTRA…``.

That is what pyproject.toml asks for to build and to run the package, and for these extras.
"""

from __future__ import annotations

import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:  # nothing is installed yet, but pip is, and it brings the same parser
    from pip._vendor import tomli as tomllib


def main(extras: list[str]) -> None:
    text = Path(__file__).resolve().parent.parent.joinpath("pyproject.toml").read_text()
    document = tomllib.loads(text)
    project = document["project"]
    wanted = [*document["build-system"]["requires"], *project["dependencies"]]
    for extra in extras:
        wanted += project["optional-dependencies"][extra]
    print(*wanted, sep="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
