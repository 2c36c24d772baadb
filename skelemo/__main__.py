"""``python -m skelemo``, where the command ``skelemo`` is not on the path."""

from skelemo.cli import main

if __name__ == "__main__":
    main(prog_name="skelemo")
