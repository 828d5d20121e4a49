# Thin targets over the sessions in noxfile.py. All that they make lies in $(CACHE).

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/quayside-registry
NOX := $(CACHE)/nox/bin/nox
SUDO := $(if $(filter-out 0,$(shell id -u)),sudo)
LANES := $(CACHE)/nox/bin/python tests/tools/two_lanes.py $(CACHE)

# Quick feedback first, then the long ones, then what fills the gaps.
TESTS := lint units units_target integration faults sanity build demo

.PHONY: help test quick demo bench faults fuzz mutants clean

help:
	@echo 'make demo    take a tour of the modules on a registry of your own, and leave nothing behind'
	@echo 'make test    everything that CI runs'
	@echo 'make quick   lint, and the unit tests on the newest ansible-core'
	@echo 'make bench   measure'
	@echo 'make faults  copy hundreds of times through connections that break, and judge what comes of it'
	@echo 'make fuzz    look for input that breaks the parsers'
	@echo 'make mutants make mistakes on purpose, and see that the tests notice'
	@echo 'make clean   remove $(CACHE)'
	@echo
	@echo 'One check alone: $(NOX) -s "integration(2.21)" -- oci_tag'

test: $(NOX)
	@$(LANES) $(TESTS)

quick: $(NOX)
	@$(LANES) lint 'units(2.21)'

demo: $(NOX)
	@$(NOX) -s tour

bench: $(NOX)
	@$(NOX) -s bench

faults: $(NOX)
	@$(NOX) -s faults -- long

fuzz: $(NOX)
	@$(NOX) -s fuzz

mutants: $(NOX)
	@$(NOX) -s mutants

clean:
	rm -rf $(CACHE)

$(NOX):
	@python3 -c 'import ensurepip' 2>/dev/null || { $(SUDO) apt-get -qq update && $(SUDO) apt-get -qq install --yes python3-venv; } \
	  || { echo 'Please install python3-venv, or put a python3 that has the module ensurepip first in PATH.' >&2; exit 1; }
	@python3 -m venv $(CACHE)/nox
	@$(CACHE)/nox/bin/python -m pip --quiet --disable-pip-version-check install nox
