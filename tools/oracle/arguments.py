"""The one argument of the scripts that only write: --help must not become a folder."""
import argparse


def argument(name: str, about: str | None) -> str:
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(name)
    return getattr(parser.parse_args(), name)
