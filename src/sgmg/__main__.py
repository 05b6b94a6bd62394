"""`python -m sgmg`: the commands, where no `sgmg` is on the path."""

from sgmg.cli import main

main()
