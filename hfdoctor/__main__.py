"""``python -m hfdoctor``."""

from hfdoctor.cli import main

if __name__ == "__main__":
    main()
