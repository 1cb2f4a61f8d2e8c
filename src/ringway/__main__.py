"""``python -m ringway``: the command line, where there is no ``ringway`` on the path."""

from ringway.cli import main

if __name__ == "__main__":
    main()
