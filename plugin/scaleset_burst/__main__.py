"""`python -m scaleset_burst`: the command line, where its script is not on the PATH."""

from scaleset_burst.cli.entry import main

if __name__ == "__main__":
    main()
