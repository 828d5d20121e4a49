# Thin targets over the sessions in noxfile.py. All that they make lies in $(CACHE).

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/quayside-registry
NOX := $(CACHE)/nox/bin/nox
SUDO := $(if $(filter-out 0,$(shell id -u)),sudo)
LANES := $(CACHE)/nox/bin/python tests/tools/two_lanes.py $(CACHE)

# Quick feedback first, then the long ones, then what fills the gaps.
TESTS := lint units units_target integration faults sanity build guides demo

.PHONY: help test quick demo fresh bench faults fuzz mutants clean

help:
	@echo 'make demo    take a tour of the modules on registries of your own (ARGS=-v shows everything)'
	@echo 'make test    everything that CI runs'
	@echo 'make quick   lint, and the unit tests on the newest ansible-core'
	@echo 'make bench   measure speed and memory beside skopeo, umoci, and crane where it is there: one table'
	@echo 'make faults  copy hundreds of times through connections that break, and judge what comes of it'
	@echo 'make fuzz    look for input that breaks the parsers'
	@echo 'make mutants make mistakes on purpose, and see that the tests notice'
	@echo 'make fresh   do make demo and make test on fresh Debian machines, made with debootstrap'
	@echo 'make clean   remove $(CACHE)'
	@echo
	@echo 'One check alone: $(NOX) -s "integration(2.21)" -- oci_tag'

test: $(NOX)
	@$(LANES) --sessions $(TESTS)

quick: $(NOX)
	@$(LANES) --tags quick

demo: $(NOX)
	@$(NOX) -s tour -- $(ARGS)

fresh:
	@$(SUDO) python3 tests/tools/fresh_root.py $(CACHE) $(ARGS)

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
	@mkdir -p $(CACHE)
	@python3 -c 'import ensurepip' 2>/dev/null \
	  || { $(SUDO) sh tests/tools/install_packages.sh python3-venv >> $(CACHE)/make.log 2>&1 && echo python3-venv >> $(CACHE)/packages; } \
	  || { cat $(CACHE)/make.log; echo 'Please install python3-venv, or put a python3 that has the module ensurepip first in PATH.' >&2; exit 1; }
	@python3 -m venv $(CACHE)/nox
	@$(CACHE)/nox/bin/python -m pip --quiet --disable-pip-version-check install nox
