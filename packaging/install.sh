#!/bin/sh
# Called by `make install` and `make uninstall`, which pass on where things go:
#
#   install.sh install|uninstall BUILT VERSION ABI
#
# BUILT is the directory with the built library, ABI what follows "libcfutures.so." in the soname. From
# the environment: PREFIX, LIBDIR, INCLUDEDIR, LIBEXECDIR, MANDIR, DOCDIR, DESTDIR, INSTALL, and
# STRIP, if debugging information is to go.
#
# What is installed holds no absolute path: DESTDIR or a move of the whole tree changes nothing.
set -eu
umask 022

action=$1 built=$2 version=$3 abi=$4
file=libcfutures.so.$version
soname=libcfutures.so.$abi
worker=cfutures-$abi

fail() {
    echo "install: $*" >&2
    exit 2
}

# Without "." and "..", double and last slashes; the rest is compared by text.
check_directory() {
    case $2 in
    /*) ;;
    *) fail "$1=$2 is not an absolute path" ;;
    esac
    case $2/ in
    */../* | */./*) fail "$1=$2 has . or .. in it; name the directory itself" ;;
    esac
}

plain() {
    printf '%s\n' "$1" | sed 's|//*|/|g; s|\(.\)/$|\1|'
}

# Is $2 the directory $1, or in it?
is_below() {
    case $2/ in
    "$1"/*) ;;
    *) return 1 ;;
    esac
}

# relative FROM TO: the way from one absolute directory to the other.
relative() {
    common=$1 up=
    until is_below "$common" "$2"; do
        common=${common%/*} up=../$up
    done
    rest=${2#"$common"}
    rest=$up${rest#/}
    rest=${rest%/}
    printf '%s\n' "${rest:-.}"
}

for name in PREFIX LIBDIR INCLUDEDIR LIBEXECDIR MANDIR DOCDIR; do
    eval "check_directory $name \"\$$name\"; $name=\$(plain \"\$$name\")"
done

# The library finds its worker program from where it lies itself (src/transport/place.rs), so that an
# installation may be moved.
case $LIBEXECDIR in
"$LIBDIR" | "${LIBDIR%/*}/libexec") ;;
*)
    outer=${LIBDIR%/*}
    [ "$LIBEXECDIR" = "${outer%/*}/libexec" ] ||
        fail "the library in LIBDIR=$LIBDIR would not find $worker/cfutures-worker in" \
            "LIBEXECDIR=$LIBEXECDIR; it looks in ${LIBDIR%/*}/libexec, ${outer%/*}/libexec and $LIBDIR"
    ;;
esac

# put MODE SOURCE TARGET
put() {
    $INSTALL -d "$DESTDIR${3%/*}"
    $INSTALL -m "$1" "$2" "$DESTDIR$3"
}

# link TEXT TARGET
link() {
    ln -sf "$1" "$DESTDIR$2"
}

# fill TEMPLATE TARGET: with the values in place of their names.
fill() {
    $INSTALL -d "$DESTDIR${2%/*}"
    sed -e "s|@VERSION@|$version|g; s|@FILE@|$file|g; s|@SONAME@|$soname|g" \
        -e "s|@MAJOR@|${version%%.*}|g; s|@MINOR@|$(echo "$version" | cut -d. -f2)|g" \
        -e "s|@POINTER_SIZE@|$pointer_size|g" \
        -e "s|@PRIVATE@|$private|g; s|@PRIVATE_LIST@|$(echo "$private" | tr ' ' ';')|g" \
        -e "s|@PC_TO_PREFIX@|$(relative "$LIBDIR/pkgconfig" "$PREFIX")|g" \
        -e "s|@INCLUDE@|$(relative "$PREFIX" "$INCLUDEDIR")|g" \
        -e "s|@LIB_TO_INCLUDE@|$(relative "$LIBDIR" "$INCLUDEDIR")|g" \
        "$1" >"$DESTDIR$2"
    chmod 644 "$DESTDIR$2"
}

strip_file() {
    [ -z "${STRIP:-}" ] || "$STRIP" "$@"
}

install_libraries() {
    put 644 "$built/libcfutures.so" "$LIBDIR/$file"
    strip_file --strip-unneeded "$DESTDIR$LIBDIR/$file"
    link "$file" "$LIBDIR/$soname"
    link "$soname" "$LIBDIR/libcfutures.so"
    put 644 "$built/libcfutures.a" "$LIBDIR/libcfutures.a"
    strip_file --strip-debug "$DESTDIR$LIBDIR/libcfutures.a"
    put 755 "$built/cfutures-worker" "$LIBEXECDIR/$worker/cfutures-worker"
    strip_file --strip-all "$DESTDIR$LIBEXECDIR/$worker/cfutures-worker"
    # The worker looks beside itself, so it finds the library in whatever LIBDIR.
    link "$(relative "$LIBEXECDIR/$worker" "$LIBDIR")/$soname" "$LIBEXECDIR/$worker/$soname"
}

install_for_compilers() {
    for header in include/*.h include/*.hpp; do
        [ ! -f "$header" ] || put 644 "$header" "$INCLUDEDIR/${header#include/}"
    done
    private=$(cat "$built/native-static-libs")
    # The fifth byte of an ELF file: 1 for 32 bits, 2 for 64.
    pointer_size=$(($(od -An -tu1 -j4 -N1 "$built/libcfutures.so") * 4))
    fill packaging/cfutures.pc.in "$LIBDIR/pkgconfig/cfutures.pc"
    for name in cfuturesConfig cfuturesConfigVersion; do
        fill packaging/cmake/$name.cmake.in "$LIBDIR/cmake/cfutures/$name.cmake"
    done
}

install_manual() {
    for page in packaging/man/*.[1-9]; do
        name=${page##*/} section=${page##*.}
        put 644 "$page" "$MANDIR/man$section/$name"
        # A page of section 3 is found under each function that it is about.
        for function in $(functions_of "$page"); do
            link "$name" "$MANDIR/man$section/$function.$section"
        done
    done
    documents | while read -r source name; do
        put 644 "$source" "$DOCDIR/$name"
    done
}

# Each text and example, and its name in DOCDIR.
documents() {
    for source in README.md CHANGELOG.md LICENSE-* docs/*.md docs/*.json; do
        echo "$source $source"
    done
    for source in examples-c/*.c examples-c/*.cpp examples-c/*.h examples-python/*.py; do
        [ ! -f "$source" ] || echo "$source examples/${source##*/}"
    done
}

# The names at the top of a page.
functions_of() {
    sed -n '/^\.SH NAME/,/^\.SH SYNOPSIS/p' "$1" | grep -o 'cfut_[a-z0-9_]*' || true
}

uninstall() {
    for name in "$file" "$soname" libcfutures.so libcfutures.a pkgconfig/cfutures.pc; do
        rm -f "$DESTDIR$LIBDIR/$name"
    done
    for header in include/*.h include/*.hpp; do
        rm -f "$DESTDIR$INCLUDEDIR/${header#include/}"
    done
    for page in packaging/man/*.[1-9]; do
        for name in "${page##*/}" $(functions_of "$page" | sed 's/$/.3/'); do
            rm -f "$DESTDIR$MANDIR/man${page##*.}/$name"
        done
    done
    for name in cfuturesConfig cfuturesConfigVersion; do
        rm -f "$DESTDIR$LIBDIR/cmake/cfutures/$name.cmake"
    done
    rm -f "$DESTDIR$LIBEXECDIR/$worker/cfutures-worker" "$DESTDIR$LIBEXECDIR/$worker/$soname"
    documents | while read -r _ name; do
        rm -f "$DESTDIR$DOCDIR/$name"
    done
    # Ours, unless somebody has put something there.
    for name in "$LIBDIR/cmake/cfutures" "$LIBEXECDIR/$worker" "$DOCDIR/examples" "$DOCDIR/docs" "$DOCDIR"; do
        rmdir "$DESTDIR$name" 2>/dev/null || true
    done
}

case $action in
install)
    install_libraries
    install_for_compilers
    install_manual
    ;;
uninstall) uninstall ;;
*) fail "what is $action?" ;;
esac
