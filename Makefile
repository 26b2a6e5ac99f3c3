# What a user of the library needs, without having to know cargo.
#
#   make         the library, the worker program beside it, and the example programs
#   make run     runs the examples on real input
#   make check   runs the tests
#   make header  writes include/cfutures.h anew from the sources
#   make clean   removes all that was built
#
# Needs Rust 1.85 or newer, a C and a C++ compiler, and make. Everything is built in target/.

CARGO  ?= cargo
CFLAGS ?= -O2 -g
CXXFLAGS ?= -O2 -g
WERROR ?= -Werror

target  := $(or $(CARGO_TARGET_DIR),target)
library := $(target)/release
version := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
# As build.rs has it: while the major version is 0, each minor version is an ABI of its own.
major   := $(word 1,$(subst ., ,$(version)))
minor   := $(word 2,$(subst ., ,$(version)))
soname  := libcfutures.so.$(if $(filter 0,$(major)),0.$(minor),$(major))
# Absolute, so that the programs run from anywhere.
rpath   := $(abspath $(library))

examples := $(patsubst examples-c/%.c,$(target)/examples-c/%,$(wildcard examples-c/*.c)) \
    $(patsubst examples-cpp/%.cpp,$(target)/examples-cpp/%,$(wildcard examples-cpp/*.cpp))

.PHONY: all library run check header clean

all: library $(examples)

# Cargo knows what is up to date, and builds cfutures-worker as well, which the library looks for in
# its own directory; the link is what a loader looks for.
library:
	$(CARGO) build --release
	@ln -sf libcfutures.so $(library)/$(soname)

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

header:
	CFUT_BLESS=1 $(CARGO) test --test it header
	@git diff --stat -- include/cfutures.h 2>/dev/null || true

clean:
	$(CARGO) clean
