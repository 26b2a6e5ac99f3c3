# What Doxygen reads in place of include/cfutures.h: the same declarations and comments with Doxygen's
# marks for groups, lists and links, which would be noise in the header.
#
# - The preface becomes the main page, its words in capitals headings.
# - "---- N. Title ----" begins a group.
# - A comment above constants names them, one behind a constant describes it.
# - "Thread:", "Blocks:" and "Since:" become paragraphs, the statuses of @return a list.
# - The name of a constant becomes a link to it.

BEGIN {
    while ((getline line < ARGV[1]) > 0)
        if (line ~ /^#define CFUT_/ && line !~ /CFUT_API/) {
            split(line, word, /[ (]/)
            constants[word[2]] = 1
        }
}

# Constants of the header as links; what only begins so ("CFUT_OPT_") is left.
function linked(text,   done, name) {
    gsub(/section 13 above/, "@ref section_13", text)
    done = ""
    while (match(text, /CFUT_[A-Z0-9_]+/)) {
        name = substr(text, RSTART, RLENGTH)
        done = done substr(text, 1, RSTART - 1) (name in constants ? "#" : "") name
        text = substr(text, RSTART + RLENGTH)
    }
    return done text
}

function begin_group(title,   number) {
    number = title
    sub(/\..*/, "", number)
    sub(/^[0-9]+\. */, "", title)
    sub(/ *\(.*\)$/, "", title)
    end_group()
    printf "/** @defgroup section_%02d %s\n * @{ */\n", number, title
    in_group = 1
}

function end_group() {
    end_names()
    if (in_group)
        print "/** @} */"
    in_group = 0
}

function end_names() {
    if (in_names)
        print "/** @} */"
    in_names = 0
}

function title_of(line) {
    sub(/^[ \/*]*---- /, "", line)
    sub(/ -+[ *\/]*$/, "", line)
    return line
}

# ---- the preface ----

NR == 1 {
    in_preface = 1
    print "/** @mainpage"
    next
}

in_preface && /^ \*\/$/ {
    print
    in_preface = 0
    next
}

# Where the file comes from is for those who read the file.
in_preface && /SPDX|^ \* Generated from/ { in_origin = 1 }
in_preface && in_origin {
    if ($0 == " *")
        in_origin = 0
    before = $0
    next
}

in_preface && before == " *" && match($0, /^ \* [A-Z][A-Z]+( FUNCTIONS| MODEL)?( for ownership)?/) {
    heading = substr($0, 4, RLENGTH - 3)
    text = substr($0, RLENGTH + 1)
    before = ""
    words = heading
    sub(/ for ownership/, "", words)
    heading = substr(words, 1, 1) tolower(substr(words, 2))
    if (words == "NULL")
        heading = words
    if (words == "WORDS") {
        heading = "Ownership"
        text = "These words are used for every pointer:\n *"
    } else if (text ~ /^\. /) {
        text = substr(text, 3)
    } else {
        text = heading text
    }
    anchor = tolower(words)
    gsub(/ /, "_", anchor)
    printf " * @section about_%s %s\n", anchor, heading
    if (words != "THE MODEL")
        print " * " linked(text)
    next
}

in_preface && /^ \*     / {
    print # code
    next
}

in_preface && /^ \*   (owned|borrowed|retained|copied|moved) / {
    owner_word = $2
    sub(/^ \*   [a-z]+ +/, "")
    print " * - **" owner_word "**: " $0
    next
}

in_preface {
    before = $0
    print linked($0)
    next
}

# ---- comments in front of declarations ----

/^\/\*\*$/ {
    in_comment = 1
    count = 0
    next
}

in_comment && / \*\/$/ {
    in_comment = 0
    print_comment()
    next
}

in_comment {
    sub(/^ \* ?/, "")
    lines[++count] = $0
    next
}

# Groups begin in front of the comment that names them.
function print_comment(   i) {
    i = 1
    if (lines[1] ~ /^---- /) {
        begin_group(title_of(lines[1]))
        i = 3
    }
    print "/**"
    while (i <= count)
        i = print_part(i)
    print " */"
}

# One line, or all lines of a part that is treated as a whole; the line behind it.
function print_part(i,   text) {
    if (lines[i] !~ /^(@return |Thread: )/) {
        print " * " linked(lines[i])
        return i + 1
    }
    text = lines[i++]
    while (i <= count && lines[i] != "" && lines[i] !~ /^(@|Thread: )/)
        text = text " " lines[i++]
    if (text ~ /^@return /)
        print_answers(text)
    else
        print_circumstances(text)
    return i
}

# "CFUT_OK; CFUT_EINVAL: NULL." as a list, if it is one.
function print_answers(text,   parts, total, i) {
    sub(/\.$/, "", text)
    total = split(text, parts, /; /)
    if (total == 1) {
        print " * " linked(text) "."
        return
    }
    sub(/^@return /, "", parts[1])
    print " * @return"
    for (i = 1; i <= total; i++)
        print " * - " linked(parts[i])
}

function print_circumstances(text) {
    sub(/^Thread: /, " * @par Thread\n * ", text)
    sub(/ Blocks: /, "\n * @par Blocks\n * ", text)
    sub(/ Since: /, "\n * @since ", text)
    print linked(text)
}

# ---- constants ----

/^\/\* ---- .* ---- *\*\/$|^\/\* ---- .*-+ \*\/$/ {
    begin_group(title_of($0))
    next
}

/^\/\* .*\*\/$/ {
    end_names()
    sub(/^\/\* /, "")
    sub(/ *\*\/$/, "")
    print "/** @name " linked($0) "\n * @{ */"
    in_names = 1
    next
}

# A definition may go on in the next line.
(/^#define CFUT_/ || in_definition) && /\/\*/ {
    in_definition = 0
    sub(/\/\* */, "/**< ")
    sub(/ +\*\/$/, " */")
    in_trail = !/\*\//
    head = substr($0, 1, index($0, "/**<") - 1)
    print head linked(substr($0, length(head) + 1))
    next
}

{ in_definition = /^#define CFUT_.*\\$/ }

in_trail {
    in_trail = !/\*\//
    sub(/ +\*\/$/, " */")
    print linked($0)
    next
}

/^$/ { end_names() }

# ---- declarations: a type has the name that its typedef gave it ----

/^#ifdef __cplusplus/ && !ended {
    end_group()
    ended = 1
}

/^#endif .*CFUTURES_H/ { end_group() }

!/^typedef struct/ { gsub(/struct cfut_/, "cfut_") }

{ print }
