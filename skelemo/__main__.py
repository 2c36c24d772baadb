"""``python -m skelemo``, equivalent to the command ``skelemo``."""

from skelemo.cli import main

if __name__ == "__main__":
    main(prog_name="skelemo")
