"""`python -m edgeseg` is the `edgeseg` command, for where its script is not on the path."""

from edgeseg.cli.start import main

if __name__ == "__main__":
    main()
