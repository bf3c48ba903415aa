"""``python -m coverslip.cli``."""

from coverslip.cli.main import main

if __name__ == "__main__":
    main()
