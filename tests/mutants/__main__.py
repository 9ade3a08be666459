"""Try the listed changes of the code, and show those that no test notices.

    make mutants                                                  all of them
    PYTHONPATH=scripts:tests python -m mutants [--grave] [NAME...]

A NAME is that of a list (`guard`), or a part of a mutant's name. The exit code is 1 if a
mutant survives, is killed although its list says otherwise, or cannot be tried.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from mutants.runner import Broken, Mutant, Result, attempt_all, load


def chosen(mutants: list[Mutant], names: list[str], *, grave: bool) -> list[Mutant]:
    """Return the mutants that the command line asks for. Raise Broken if there are none."""
    for name in names:
        if not any(mutant.matches([name]) for mutant in mutants):
            raise Broken(f"no mutant is named {name}")
    found = [m for m in mutants if (m.grave or not grave) and (not names or m.matches(names))]
    if not found:
        raise Broken("none of these mutants is grave" if grave else "no mutant is listed")
    return found


def main() -> int:
    """Run the tool. Return the exit code."""
    parser = argparse.ArgumentParser(
        prog="mutants", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--grave", action="store_true", help="only those of `make test`")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    results: list[Result] = []

    def tell(result: Result) -> None:
        results.append(result)
        print(f"[{len(results)}/{len(mutants)}] {result}", flush=True)

    try:
        mutants = chosen(load(), options.names, grave=options.grave)
        asyncio.run(attempt_all(mutants, tell))
    except Broken as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    surprises = [result for result in results if result.is_surprise]
    killed = sum(result.outcome == "killed" for result in results)
    print(f"{len(results)} mutants: {killed} killed, {len(surprises)} surprises")
    for result in surprises:
        print(f"  {result}".partition("\n")[0])
    return 1 if surprises else 0


if __name__ == "__main__":
    sys.exit(main())
