# make demo [ARGS=--until-done]   start everything on this machine and watch a comparison run
# make test                       lint, types, contracts and every test, most of them on all cores
# make test ARGS="-k est"         the same checks, and the tests that pytest picks by ARGS, one after the other
# make lint                       the first three only
#
# Needs python3.11 with venv, and make. Everything else is installed into .venv from requirements.txt.

BIN := .venv/bin
READY := .venv/complete
ARGS ?=
# They race real workers against a browser or a clock, and want the machine for themselves.
ALONE := tests/browser tests/faults tests/webapp/demo
# mypy's Django plugin reads the settings, which refuse to load without these; nothing connects.
SETTINGS := SECRET_KEY=$(shell printf 'lint%.0s' 1 2 3 4 5 6 7 8 9 10 11 12 13) DATABASE_URL=postgres://lint@/lint REDIS_URL=redis://lint

.PHONY: demo test lint system

demo: $(READY)
	@$(BIN)/python -m webapp.demo $(ARGS)

test: $(READY) system lint
ifeq ($(ARGS),)
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile $(ALONE:%=--ignore %)
	@$(BIN)/python -m pytest $(ALONE)
else
	@$(BIN)/python -m pytest $(ARGS)
endif

lint: $(READY)
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(SETTINGS) $(BIN)/mypy
	@$(BIN)/lint-imports

# The stamp goes first and comes last: a build that was interrupted is thrown away and made again.
$(READY): requirements.txt
	@python3.11 -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo 'Flopwise needs python3.11 with venv on the PATH; on Debian 12: apt-get install -y python3.11-venv' >&2; exit 1; }
	@echo 'Installing requirements.txt into .venv; the first time this takes a minute or two.'
	@test -e $@ || python3.11 -m venv --clear .venv
	@rm -f $@
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(BIN)/python -m pip check >/dev/null
	@touch $@

# What the tests need from the system: a browser with letters to draw, curl for the README's example, and a compiler
# for torch.compile.
system: $(READY)
	@missing=; \
	command -v chromium >/dev/null || missing="$$missing chromium"; \
	test -e /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf || missing="$$missing fonts-dejavu-core"; \
	command -v curl >/dev/null || missing="$$missing curl"; \
	command -v g++ >/dev/null || missing="$$missing g++"; \
	test -e "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" \
	  || missing="$$missing libpython3.11-dev"; \
	test -n "$$missing" || exit 0; \
	install="apt-get install -y --no-install-recommends$$missing"; \
	if test "$$(id -u)" = 0 && command -v apt-get >/dev/null; then \
	  echo "Installing$$missing."; \
	  export DEBIAN_FRONTEND=noninteractive; \
	  { apt-get update -qq && apt-get -o DPkg::Lock::Timeout=300 -qq $${install#apt-get } >/dev/null; } || exit 1; \
	else \
	  echo "The tests need$$missing; on Debian: sudo $$install" >&2; exit 1; \
	fi
