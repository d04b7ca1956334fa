/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * report_html: the pieces of the HTML report: a writer that escapes its text and keeps its errors for one check at the
 * end, and the two parts that have files of their own. The page is well-formed XML, too.
 */
#ifndef BOOTRACE_CLI_REPORT_REPORT_HTML_H
#define BOOTRACE_CLI_REPORT_REPORT_HTML_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/report/story.h"

struct html {
    void *writer; /* libxml2's xmlTextWriterPtr */
    bool failed;
};

/* <name attribute="value" ...>: pairs of strings, ended by NULL. Values and text may be any bytes: what HTML can't hold
   becomes U+FFFD. */
void html_open(struct html *h, const char *name, ...) __attribute__((sentinel));
void html_attribute(struct html *h, const char *name, const char *fmt, ...) EMU_PRINTF(3, 4);
void html_text(struct html *h, const char *text);
void html_print(struct html *h, const char *fmt, ...) EMU_PRINTF(2, 3);
/* Exactly as it is: for the page's own style and script. */
void html_raw(struct html *h, const char *text);
void html_close(struct html *h);
/* <name class="class">text</name>; class may be NULL. */
void html_element(struct html *h, const char *name, const char *class, const char *text);

/* The page's style, its script, and the shapes that the timelines use. */
extern const char html_style[];
extern const char html_script[];
extern const char html_shapes[];

/* All timelines of the report, as figures. */
void html_timelines(struct html *h, const struct report *r);

#endif
