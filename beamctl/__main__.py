"""``python -m beamctl``."""

from beamctl.cli.app import main

if __name__ == "__main__":
    main()
