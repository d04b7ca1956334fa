/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/verdict.h"

#include <ctype.h>
#include <string.h>

const char *verdict_kind_name(enum verdict_kind kind)
{
    static const char *const names[] = {
        [VERDICT_NONE] = "NONE",
        [VERDICT_PASS] = "PASS",
        [VERDICT_FAIL] = "FAIL",
        [VERDICT_BUDGET] = "BUDGET",
        [VERDICT_ERROR] = "ERROR",
        [VERDICT_UNMODELLED] = "UNMODELLED",
        [VERDICT_INTERRUPTED] = "INTERRUPTED",
    };

    return names[kind];
}

size_t verdict_word_length(const char *text)
{
    size_t n = 0;

    while (isalnum((unsigned char)text[n]) || text[n] == '_')
        n++;
    return n;
}

size_t verdict_number_length(const char *text)
{
    size_t length = verdict_word_length(text), hexadecimal = strspn(text, "0123456789abcdefABCDEF");

    return isdigit((unsigned char)*text) || (hexadecimal == length && length >= 8) ? length : 0;
}

bool verdict_texts_agree(const char *a, const char *b)
{
    while (*a && *b) {
        size_t n = verdict_word_length(a), k = verdict_word_length(b);

        if (!n && !k) {
            if (*a++ != *b++)
                return false;
            continue;
        }
        if (!(verdict_number_length(a) && verdict_number_length(b)) && (n != k || memcmp(a, b, n)))
            return false;
        a += n;
        b += k;
    }
    return *a == *b;
}

int verdict_exit_status(enum verdict_kind kind)
{
    switch (kind) {
    case VERDICT_PASS:
        return 0;
    case VERDICT_FAIL:
        return 1;
    case VERDICT_UNMODELLED:
        return 3;
    case VERDICT_BUDGET:
        return 4;
    case VERDICT_INTERRUPTED:
        return 130;
    case VERDICT_NONE:
    case VERDICT_ERROR:
        break;
    }
    return 5;
}
