# What a user of the library needs, without having to know cargo.
#
#   make         the library, the worker program beside it, and the example programs
#   make run     runs the examples on real input
#   make check   runs the tests
#   make header  writes the headers and what is made of them anew from the sources
#   make abi     keeps the header of this version in abi/, when it is released
#   make docs    writes the reference as HTML to target/docs/html (needs doxygen)
#   make clean   removes all that was built
#
#   make install PREFIX=/usr/local DESTDIR=     all that a user of the library needs
#   make install-strip, make uninstall          without debugging information; removes it again
#   make dist    an archive of the built library, for any directory, and its SBOM, in target/dist
#   make sbom    what the library consists of, as CycloneDX, to standard output
#
# Needs Rust 1.85 or newer, a C and a C++ compiler, and make. Everything is built in target/.

CARGO  ?= cargo
RUSTC  ?= rustc
# A build takes the versions that Cargo.lock has.
CARGOFLAGS ?= --locked
CFLAGS ?= -O2 -g
CXXFLAGS ?= -O2 -g
WERROR ?= -Werror

target  := $(or $(CARGO_TARGET_DIR),target)
library := $(target)/$(if $(CARGO_BUILD_TARGET),$(CARGO_BUILD_TARGET)/)release
version := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
# As build.rs has it: while the major version is 0, each minor version is an ABI of its own.
major   := $(word 1,$(subst ., ,$(version)))
minor   := $(word 2,$(subst ., ,$(version)))
abi     := $(if $(filter 0,$(major)),0.$(minor),$(major))
soname  := libcfutures.so.$(abi)
# So that the same bytes come out in whatever directory. RUSTFLAGS in the environment takes its place.
empty :=
remaps := $(subst $(empty) ,$(empty),"--remap-path-prefix=$(CURDIR)=/usr/src/cfutures-$(version)", \
    "--remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)/registry/src=/usr/src/crates")
# Absolute, so that the programs run from anywhere.
rpath   := $(abspath $(library))

examples := $(patsubst examples-c/%.c,$(target)/examples-c/%,$(wildcard examples-c/*.c)) \
    $(patsubst examples-cpp/%.cpp,$(target)/examples-cpp/%,$(wildcard examples-cpp/*.cpp))

.PHONY: all library run check header abi docs clean install install-strip uninstall dist sbom

all: library $(examples)

# Cargo knows what is up to date, and builds cfutures-worker as well, which the library looks for in
# its own directory; the link is what a loader looks for.
library:
	$(CARGO) build --release $(CARGOFLAGS) --config 'build.rustflags=[$(remaps)]'
	@ln -sf libcfutures.so $(library)/$(soname)
	@$(MAKE) --no-print-directory $(library)/native-static-libs

# What a program needs that has the static library inside; the compiler knows. It is kept because
# who installs may have no Rust.
$(library)/native-static-libs: Cargo.toml Cargo.lock
	@mkdir -p $(@D)
	@: | $(RUSTC) $(addprefix --target=,$(CARGO_BUILD_TARGET)) --crate-type staticlib \
	    --print native-static-libs -o $@.a - 2>&1 | sed -n 's/.*native-static-libs: //p' >$@.new
	@rm -f $@.a
	@test -s $@.new && mv $@.new $@

# A program that needs libraries has their names for pkg-config in its first line; where they are
# not found, it is left out.
$(target)/examples-c/%: examples-c/%.c include/cfutures.h $(wildcard examples-c/*.h) | library
	@mkdir -p $(@D)
	@needs=$$(sed -n '1s|^/\* pkg-config: \(.*\) \*/$$|\1|p' $<); \
	if ! flags=$$([ -z "$$needs" ] || pkg-config --cflags --libs $$needs 2>/dev/null); then \
	    echo "skipped: $<: pkg-config does not find $$needs"; \
	    exit; \
	fi; \
	set -x; \
	$(CC) -std=c11 -Wall -Wextra -pedantic $(WERROR) $(CFLAGS) -Iinclude $< -o $@ \
	    -L$(library) -lcfutures $$flags -Wl,-rpath,$(rpath)

$(target)/examples-cpp/%: examples-cpp/%.cpp include/cfutures.h include/cfutures.hpp | library
	@mkdir -p $(@D)
	$(CXX) -std=c++17 -Wall -Wextra -pedantic $(WERROR) $(CXXFLAGS) -Iinclude $< -o $@ \
	    -L$(library) -lcfutures -Wl,-rpath,$(rpath)

run: all
	@sh examples-c/run.sh $(target)/examples-c $(target)/examples-cpp

check:
	$(CARGO) test

# Directories as a distribution names them; INSTALL and STRIP are programs.
PREFIX     ?= /usr/local
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
LIBEXECDIR ?= $(PREFIX)/libexec
MANDIR     ?= $(PREFIX)/share/man
DOCDIR     ?= $(PREFIX)/share/doc/cfutures
INSTALL    ?= install
STRIP      ?= strip
places := PREFIX LIBDIR INCLUDEDIR LIBEXECDIR MANDIR DOCDIR DESTDIR INSTALL
installer = $(foreach name,$(places),$(name)="$($(name))") sh packaging/install.sh
built_from := Cargo.toml Cargo.lock build.rs $(shell find src -name '*.rs')

# With `sudo make install` after `make`, there is nothing to build, and root needs no cargo.
$(library)/libcfutures.so: $(built_from)
	@$(MAKE) --no-print-directory library

install: $(library)/libcfutures.so
	@STRIP= $(installer) install $(library) $(version) $(abi)
	@echo "installed: $(DESTDIR)$(LIBDIR)/$(soname) and what goes with it"

install-strip: $(library)/libcfutures.so
	@STRIP=$(STRIP) $(installer) install $(library) $(version) $(abi)
	@echo "installed: $(DESTDIR)$(LIBDIR)/$(soname) and what goes with it"

uninstall:
	@$(installer) uninstall $(library) $(version) $(abi)

# The compiler's name of the machine, or the one that is built for.
dist: $(library)/libcfutures.so
	@packaging/dist $(library) $(version) \
	    $(or $(CARGO_BUILD_TARGET),$$($(RUSTC) -vV | sed -n 's/^host: //p'))

sbom:
	@packaging/sbom

header:
	CFUT_BLESS=1 $(CARGO) test --test it header
	@git diff --stat -- include 2>/dev/null || true

# Comments are no interface, and stay out of it.
abi:
	@mkdir -p abi/$(version)
	$(CC) -fpreprocessed -dD -E -P include/cfutures.h 2>/dev/null > abi/$(version)/cfutures.h
	@git diff --stat -- abi 2>/dev/null || true

# A warning is an error.
docs:
	@mkdir -p $(target)/docs
	CFUT_VERSION=$(version) CFUT_DOCS=$(target)/docs doxygen docs/Doxyfile

clean:
	$(CARGO) clean
