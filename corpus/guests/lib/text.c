/* SPDX-License-Identifier: GPL-2.0-or-later */
/* text: strings, printf, the command line. */
#include "guest.h"

void *memcpy(void *to, const void *from, size_t bytes)
{
    void *start = to;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
    return start;
}

void *memset(void *to, int value, size_t bytes)
{
    void *start = to;
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(bytes) : "a"(value) : "memory");
    return start;
}

int memcmp(const void *a, const void *b, size_t bytes)
{
    const uint8_t *x = a, *y = b;
    for (size_t i = 0; i < bytes; i++)
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    return 0;
}

size_t strlen(const char *text)
{
    size_t bytes = 0;
    while (text[bytes])
        bytes++;
    return bytes;
}

int strcmp(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return (uint8_t)*a - (uint8_t)*b;
}

uint32_t checksum(uint32_t seed, const void *data, size_t bytes)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < bytes; i++)
        seed = (seed ^ p[i]) * 0x01000193u;
    return seed;
}

struct sink {
    char *out;
    size_t bytes, room;
};

static void put(struct sink *sink, char c)
{
    if (sink->bytes + 1 < sink->room)
        sink->out[sink->bytes++] = c;
}

/* Divides in place and returns the remainder; 32-bit guests have no 64-bit division without libgcc. */
static unsigned divide(uint64_t *value, unsigned base)
{
    uint32_t hi = (uint32_t)(*value >> 32), lo = (uint32_t)*value, rest = 0;
    __asm__("divl %2" : "+a"(hi), "+d"(rest) : "rm"(base));
    __asm__("divl %2" : "+a"(lo), "+d"(rest) : "rm"(base));
    *value = (uint64_t)hi << 32 | lo;
    return rest;
}

static void put_number(struct sink *sink, uint64_t value, unsigned base, bool upper, bool minus, unsigned width,
                       char pad)
{
    char digits[24];
    unsigned count = 0;
    do
        digits[count++] = (upper ? "0123456789ABCDEF" : "0123456789abcdef")[divide(&value, base)];
    while (value);
    if (minus && pad == '0')
        put(sink, '-');
    for (unsigned i = count + minus; i < width; i++)
        put(sink, pad);
    if (minus && pad != '0')
        put(sink, '-');
    while (count)
        put(sink, digits[--count]);
}

int format_text(char *out, size_t out_bytes, const char *format, va_list args)
{
    struct sink sink = {.out = out, .room = out_bytes};
    for (; *format; format++) {
        if (*format != '%') {
            put(&sink, *format);
            continue;
        }
        format++;
        char pad = *format == '0' ? '0' : ' ';
        unsigned width = 0, longs = 0;
        while (*format >= '0' && *format <= '9')
            width = width * 10 + (unsigned)(*format++ - '0');
        while (*format == 'l' || *format == 'z') {
            longs++;
            format++;
        }
        uint64_t value = 0;
        bool minus = false;
        switch (*format) {
        case 's': {
            const char *text = va_arg(args, const char *);
            while (*text)
                put(&sink, *text++);
            break;
        }
        case 'c':
            put(&sink, (char)va_arg(args, int));
            break;
        case 'd': {
            int64_t number = longs == 0 ? va_arg(args, int) : longs == 1 ? va_arg(args, long) : va_arg(args, long long);
            minus = number < 0;
            value = minus ? 0 - (uint64_t)number : (uint64_t)number;
            put_number(&sink, value, 10, false, minus, width, pad);
            break;
        }
        case 'p':
            value = (uintptr_t)va_arg(args, void *);
            put_number(&sink, value, 16, false, false, width, pad);
            break;
        case 'u':
        case 'x':
        case 'X':
            value = longs == 0   ? va_arg(args, unsigned)
                    : longs == 1 ? va_arg(args, unsigned long)
                                 : va_arg(args, unsigned long long);
            put_number(&sink, value, *format == 'u' ? 10 : 16, *format == 'X', false, width, pad);
            break;
        default:
            put(&sink, *format);
        }
    }
    if (sink.room)
        sink.out[sink.bytes] = 0;
    return (int)sink.bytes;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n';
}

const char *param_find(const char *key)
{
    size_t key_bytes = strlen(key);
    const char *at = guest_boot.cmdline;
    while (*at) {
        while (is_blank(*at))
            at++;
        size_t i = 0;
        while (i < key_bytes && at[i] == key[i])
            i++;
        if (i == key_bytes && at[i] == '=')
            return at + i + 1;
        while (*at && !is_blank(*at))
            at++;
    }
    return NULL;
}

bool param_text(const char *key, char *out, size_t out_bytes)
{
    const char *at = param_find(key);
    size_t used = 0;
    if (at)
        for (; at[used] && !is_blank(at[used]) && used + 1 < out_bytes; used++)
            out[used] = at[used];
    out[used] = 0;
    return at != NULL;
}

bool param_is(const char *key, const char *value)
{
    char text[64];
    return param_text(key, text, sizeof text) && strcmp(text, value) == 0;
}

uint32_t param_u32(const char *key, uint32_t otherwise)
{
    const char *at = param_find(key);
    if (!at)
        return otherwise;
    uint32_t base = 10, value = 0;
    if (at[0] == '0' && at[1] == 'x') {
        base = 16;
        at += 2;
    }
    for (;; at++) {
        uint32_t digit = *at >= '0' && *at <= '9'   ? (uint32_t)(*at - '0')
                         : *at >= 'a' && *at <= 'f' ? (uint32_t)(*at - 'a' + 10)
                                                    : 99;
        if (digit >= base)
            return value;
        value = value * base + digit;
    }
}

bool param_has(const char *key, const char *word)
{
    const char *at = param_find(key);
    size_t word_bytes = strlen(word);
    while (at && *at && !is_blank(*at)) {
        size_t part = 0;
        while (at[part] && !is_blank(at[part]) && at[part] != '+')
            part++;
        if (part == word_bytes && memcmp(at, word, part) == 0)
            return true;
        at += part;
        if (*at == '+')
            at++;
    }
    return false;
}
