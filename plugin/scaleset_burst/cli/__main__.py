"""`python -m scaleset_burst.cli`, where the script is not on the path."""

from scaleset_burst.cli.entry import main

if __name__ == "__main__":
    main()
