"""`python -m dolma_kit`, the same as the command `dolma-kit`."""

from dolma_kit.cli import main

if __name__ == "__main__":
    main()
