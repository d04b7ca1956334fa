/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/run/parse.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "emu/memory.h"
#include "models/xen/version.h"

#define RAM_BYTES_MIN (16ull << 20)
#define RAM_BYTES_MAX (64ull << 30)

enum emu_err parse_number(const char *what, const char *text, uint64_t min, uint64_t max, uint64_t *value,
                          struct diag *d)
{
    char *end;

    errno = 0;
    *value = strtoull(text, &end, 0);
    if (!isdigit((unsigned char)text[0]) || *end || errno || *value < min || *value > max)
        return diag_set(d, EMU_EINPUT, "%s is a number from %" PRIu64 " to %" PRIu64 ", not '%s'", what, min, max,
                        text);
    return EMU_OK;
}

bool parse_take_number(const char **text, uint64_t max, uint64_t *value)
{
    const char *at = *text;

    if (!isdigit((unsigned char)*at))
        return false;
    for (*value = 0; isdigit((unsigned char)*at); at++) {
        unsigned digit = (unsigned)(*at - '0');

        if (digit > max || *value > (max - digit) / 10)
            return false;
        *value = *value * 10 + digit;
    }
    *text = at;
    return true;
}

enum emu_err parse_bytes(const char *text, uint64_t *bytes, struct diag *d)
{
    char *end;
    unsigned shift = 0;

    errno = 0;
    *bytes = strtoull(text, &end, 0);
    switch (toupper((unsigned char)*end)) {
    case 'G':
        shift = 30;
        end++;
        break;
    case 'M':
        shift = 20;
        end++;
        break;
    case 'K':
        shift = 10;
        end++;
        break;
    }
    if (isdigit((unsigned char)text[0]) && !*end && !errno && *bytes <= RAM_BYTES_MAX >> shift &&
        *bytes << shift >= RAM_BYTES_MIN && (*bytes << shift) % PAGE_BYTES)
        return diag_set(d, EMU_EINPUT, "memory is given in whole pages, a multiple of %uK: '%s' is not",
                        (unsigned)PAGE_BYTES >> 10, text);
    if (!isdigit((unsigned char)text[0]) || *end || errno || *bytes > RAM_BYTES_MAX >> shift ||
        *bytes << shift < RAM_BYTES_MIN)
        return diag_set(d, EMU_EINPUT, "memory is given like 512M or 2G, from %" PRIu64 "M to %" PRIu64 "G, not '%s'",
                        (uint64_t)RAM_BYTES_MIN >> 20, (uint64_t)RAM_BYTES_MAX >> 30, text);
    *bytes <<= shift;
    return EMU_OK;
}

enum emu_err parse_xen_version(const char *text, unsigned *version, struct diag *d)
{
    const struct xen_traits *first = &xen_traits_rows[0], *last = &xen_traits_rows[xen_traits_count - 1], *found;
    const char *at = text;
    uint64_t major, minor;

    if (!parse_take_number(&at, UINT16_MAX, &major) || *at++ != '.' || !parse_take_number(&at, UINT16_MAX, &minor) ||
        *at || xen_traits_find(XEN_VERSION((unsigned)major, (unsigned)minor), &found, d) != EMU_OK)
        return diag_set(d, EMU_EINPUT, "a Xen version is one from %u.%u to %u.%u, like 4.17, not '%s'",
                        first->version >> 16, first->version & 0xffff, last->version >> 16, last->version & 0xffff,
                        text);
    *version = found->version;
    return EMU_OK;
}

enum emu_err parse_mode(const char *text, enum platform_mode *mode, struct diag *d)
{
    for (enum platform_mode each = PLATFORM_PVH; each <= PLATFORM_MULTIBOOT; each++) {
        if (!strcmp(text, platform_mode_name(each))) {
            *mode = each;
            return EMU_OK;
        }
    }
    return diag_set(d, EMU_EINPUT, "the mode is pvh, hvm, pv, dom0 or multiboot, not '%s'", text);
}
