# One table out of lines "table;round;label;case KEY VALUE KEY VALUE ...", the first label being
# what the others are held to.

BEGIN { FS = ";" }

$4 == "failed" { failed[$3]++; remember($3); next }

{
    remember($3)
    n = split($4, part, " ")
    i = ++count[$3]
    for (k = 2; k < n; k += 2)
        value[$3, part[k], i] = part[k + 1]
    kind = part[2]
}

function remember(label) {
    if (!(label in seen)) {
        seen[label] = 1
        labels[++width] = label
    }
}

# Sorts `list` in place by the values of `by`.
function sort(list, by, n,    i, j, t) {
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && by[list[j]] < by[list[j - 1]]; j--) {
            t = list[j]; list[j] = list[j - 1]; list[j - 1] = t
        }
}

# The median of one figure over the `n` runs listed.
function median(label, key, list, n,    i, copy, by) {
    for (i = 1; i <= n; i++) {
        copy[i] = list[i]
        by[list[i]] = value[label, key, list[i]] + 0
    }
    sort(copy, by, n)
    return n % 2 ? by[copy[(n + 1) / 2]] : (by[copy[n / 2]] + by[copy[n / 2 + 1]]) / 2
}

function least(label, key, n,    i, m) {
    m = value[label, key, 1] + 0
    for (i = 2; i <= n; i++)
        if (value[label, key, i] + 0 < m)
            m = value[label, key, i] + 0
    return m
}

# The quieter half of the runs of a label, into `list`; all of them where that is not known.
function quieter(label, list,    i, n, by) {
    n = count[label]
    for (i = 1; i <= n; i++) {
        list[i] = i
        by[i] = value[label, "others", i] + 0
    }
    sort(list, by, n)
    return kind == "wall" || kind == "took" ? int((n + 1) / 2) : n
}

function figure(x) {
    if (x > 0 && x < 1)
        return sprintf("%.2f", x)
    return x >= 100 || x <= -100 || x == 0 ? sprintf("%.0f", x) : sprintf("%.1f", x)
}

function ratio(x, base) {
    return base > 0 ? sprintf("%.2f", x / base) : "-"
}

END {
    if (kind == "wall")
        timed()
    else if (kind == "took")
        took()
    else
        plain()
    for (l in failed)
        printf "\n%s: %d runs failed.\n", l, failed[l]
}

function timed(    l, label, n, list, wall, wmin, cpu, cmin, b) {
    print "| | wall ns, median | least | x cfutures, median | least |" \
        " CPU ns, median | least | x cfutures, median | least | sleeps | others |"
    print "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    for (l = 1; l <= width; l++) {
        label = labels[l]
        if (!count[label])
            continue
        n = quieter(label, list)
        wall = median(label, "wall", list, n)
        cpu = median(label, "cpu", list, n)
        wmin = least(label, "wall", count[label])
        cmin = least(label, "cpu", count[label])
        if (l == 1) {
            b["wall"] = wall; b["wmin"] = wmin; b["cpu"] = cpu; b["cmin"] = cmin
        }
        printf "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %.2f |\n", label,
            figure(wall), figure(wmin), ratio(wall, b["wall"]), ratio(wmin, b["wmin"]),
            figure(cpu), figure(cmin), ratio(cpu, b["cpu"]), ratio(cmin, b["cmin"]),
            figure(median(label, "sleeps", list, n)), median(label, "others", list, n)
    }
}

# Whole processes: microseconds, and what else a line may say.
function took(    l, label, n, list, all, less, b, bless, head, key, k, keys, names, shown) {
    split("cpu bytes results others", keys, " ")
    names["cpu"] = "CPU µs, median"; names["bytes"] = "MB/s"
    names["results"] = "of 99 results"; names["others"] = "others"
    head = "| | µs, median | least | x cfutures, median | least |"
    for (k = 1; k <= 4; k++)
        if ((labels[1], keys[k], 1) in value) {
            shown[k] = 1
            head = head " " names[keys[k]] " |"
        }
    print head
    gsub(/[^|]+/, "---:", head)
    sub(/---:/, "---", head)
    print head
    for (l = 1; l <= width; l++) {
        label = labels[l]
        if (!count[label])
            continue
        n = quieter(label, list)
        all = median(label, "took", list, n) / 1000
        less = least(label, "took", count[label]) / 1000
        if (l == 1) {
            b = all; bless = less
        }
        printf "| %s | %s | %s | %s | %s |", label, figure(all), figure(less), ratio(all, b),
            ratio(less, bless)
        for (k = 1; k <= 4; k++) {
            if (!shown[k])
                continue
            key = keys[k]
            if (key == "cpu")
                printf " %s |", figure(median(label, key, list, n) / 1000)
            else if (key == "bytes")
                printf " %.0f |", value[label, key, 1] / all
            else if (key == "results")
                printf " %s |", figure(median(label, key, list, n))
            else
                printf " %.2f |", median(label, key, list, n)
        }
        print ""
    }
}

function plain(    l, label, n, list, second) {
    if (kind == "instructions") {
        print "| | instructions a task |\n|---|---:|"
        for (l = 1; l <= width; l++)
            if (count[labels[l]])
                printf "| %s | %s |\n", labels[l], figure(value[labels[l], kind, 1])
        return
    }
    second = kind == "rss" ? "malloc" : "wakeups"
    print kind == "rss" ? "| | resident bytes a task | of them from malloc |" \
        : "| | CPU µs | wake-ups |"
    print "|---|---:|---:|"
    for (l = 1; l <= width; l++) {
        label = labels[l]
        if (!count[label])
            continue
        n = quieter(label, list)
        printf "| %s | %s | %s |\n", label, figure(median(label, kind, list, n)),
            figure(median(label, second, list, n))
    }
}
