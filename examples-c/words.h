/* The words of a text, for pipeline.c. Nothing here knows of tasks. */
#ifndef WORDS_H
#define WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct word {
    const char *text;
    uint64_t count;
};

struct words {
    struct word *list; /* each word once, the most frequent first */
    uint64_t different, total;
    char *copy; /* what the list points into */
};

static int by_text(const void *left, const void *right)
{
    const struct word *a = left, *b = right;
    return strcmp(a->text, b->text);
}

static int by_count(const void *left, const void *right)
{
    const struct word *a = left, *b = right;
    return a->count != b->count ? (a->count < b->count ? 1 : -1) : by_text(a, b);
}

/* A small letter, a digit or part of a character beyond ASCII; '\0' where no word is. */
static char folded(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c - 'A' + 'a');
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c & 0x80) != 0 ? c : '\0';
}

static void split(const char *text, size_t length, struct words *words)
{
    char *copy = words->copy;
    for (size_t i = 0; i < length; i++) {
        copy[i] = folded(text[i]);
        if (copy[i] != '\0' && (i == 0 || copy[i - 1] == '\0'))
            words->list[words->total++] = (struct word){ &copy[i], 1 };
    }
    copy[length] = '\0';
}

/* Equal ones stand side by side: the first of them gets the count. */
static void merge(struct words *words)
{
    for (uint64_t i = 0; i < words->total; i++) {
        struct word *last = &words->list[words->different];
        if (words->different > 0 && by_text(last - 1, &words->list[i]) == 0)
            last[-1].count++;
        else
            *last = words->list[i], words->different++;
    }
}

/* False if there is no memory. The caller calls free_words(), also after false. */
static bool count_words(const char *text, size_t length, struct words *words)
{
    *words = (struct words){ .copy = malloc(length + 1),
                             .list = calloc(length / 2 + 1, sizeof *words->list) };
    if (words->copy == NULL || words->list == NULL)
        return false;
    split(text, length, words);
    qsort(words->list, words->total, sizeof *words->list, by_text);
    merge(words);
    qsort(words->list, words->different, sizeof *words->list, by_count);
    return true;
}

static void free_words(struct words *words)
{
    free(words->list);
    free(words->copy);
}

#endif
