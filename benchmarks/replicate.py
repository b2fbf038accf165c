"""Runs what methods' cards ask for, with real servers, workers and comparison, and writes `evidence.json` beside them.

`docs/measured.md` is written from all evidence after each.

    python -m benchmarks.replicate est              # a quarter of an hour on two cores
    python -m benchmarks.replicate --all --small    # every card whose reproduction is small: 69 minutes
    python -m benchmarks.replicate --table          # run nothing, write docs/measured.md anew

It shares its state with the demo, in `var/`. An experiment that is there already goes on or is read again; `--again`
launches a new one. Wall times depend on what else the machine does; FLOPs and losses do not.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from training import catalog
from training.catalog import Card
from training.evidence import keep
from webapp.demo.__main__ import prepare, programs, serve
from webapp.demo.embedded import ServerFailed
from webapp.demo.home import Home, Occupied
from webapp.demo.processes import Fallen, Fleet
from webapp.results import measured

if TYPE_CHECKING:  # it reads the database's settings, which are made first
    from webapp.demo.watch import Screen

CHECKOUT = Path(__file__).resolve().parents[1]
HOST = "127.0.0.1"
TABLE = CHECKOUT / "docs" / "measured.md"


def options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", metavar="method", help="names of methods")
    parser.add_argument("--all", action="store_true", help="every method whose card asks for a reproduction")
    parser.add_argument("--small", action="store_true", help="only reproductions for two CPU cores")
    parser.add_argument("--again", action="store_true", help="launch new experiments")
    parser.add_argument("--table", action="store_true", help="only write the table of the evidence that is there")
    asked = parser.parse_args(arguments)
    if unknown := set(asked.methods) - set(catalog.names()):
        parser.error(f"no method {', '.join(sorted(unknown))}; there are {', '.join(catalog.names())}")
    if not asked.table and not chosen(asked):
        parser.error("no card among these asks for a reproduction")
    return asked


def chosen(asked: argparse.Namespace) -> list[Card]:
    """The cards to replicate: those that ask for it, at the wanted scale."""
    cards = [catalog.card(name) for name in (catalog.names() if asked.all else asked.methods)]
    return [
        card
        for card in cards
        if card.reproduction is not None and (card.reproduction.scale == "small" or not asked.small)
    ]


def replicate(asked: argparse.Namespace, home: Home, fleet: Fleet) -> int:
    """Run or read every chosen reproduction; 1 if a run failed."""
    serve(home, fleet, HOST)
    prepare()
    from webapp.demo import content, watch

    screen, username = watch.Screen(), content.login(home).username
    fleet.say = screen.say
    for child in programs(home, HOST, 0):
        if child.name != "web":
            fleet.start(child)
    failed = 0
    for card in chosen(asked):
        failed |= one(card, username, fleet, screen=screen, again=asked.again)
    return failed


def one(card: Card, username: str, fleet: Fleet, *, screen: Screen, again: bool) -> int:
    """Run a card's reproduction, or go on with the one that is there, and write what it measured."""
    from django.contrib.auth import get_user_model

    from webapp.demo import content, watch
    from webapp.experiments import replication
    from webapp.experiments.models import Experiment
    from webapp.results.evidence import gathered

    kept = Experiment.objects.filter(project=content.project(), title=replication.title(card)).order_by("-id").first()
    owner = get_user_model().objects.get(username=username)
    experiment = kept if kept and not again else replication.launch(card, project=content.project(), owner=owner)
    if failed := watch.follow(experiment, fleet, screen, until_done=True):
        return failed
    found = gathered(card, experiment, command=f"python -m benchmarks.replicate {card.name}")
    screen.say(f"\n{len(found.passed)} of {len(found.bars)} bars passed; written to {keep(found)}")
    TABLE.write_text(measured.markdown())
    return 0


def main(arguments: list[str]) -> int:
    asked = options(arguments)
    if asked.table:
        TABLE.write_text(measured.markdown())
        return 0
    fleet = Fleet(lambda text: print(text, flush=True))
    try:
        home = Home(CHECKOUT)
        with home.lock():
            try:
                return replicate(asked, home, fleet)
            except KeyboardInterrupt:
                return 128 + signal.SIGINT
            finally:
                fleet.stop()
    except (ServerFailed, Occupied, Fallen) as failure:
        fleet.say(str(failure))
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
