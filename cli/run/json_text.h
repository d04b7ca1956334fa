/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * json_text: JSON from which nothing is lost. Jansson answers NULL to a string that is not UTF-8 and when there is no
 * memory, and takes a NULL away with all that it was to be part of; so every string is made here, and a program that
 * has no memory for a report ends and says so.
 */
#ifndef BOOTRACE_CLI_RUN_JSON_TEXT_H
#define BOOTRACE_CLI_RUN_JSON_TEXT_H

#include <jansson.h>

/* The string; a byte that is no part of UTF-8 stands there as \xNN. NULL for NULL: pack it with `o?` or `o*`. */
json_t *json_text(const char *text);

/* Before the first use of Jansson: without memory the program ends, with a sentence and COMMAND_ERROR. */
void json_check_memory(void);

/* Print it on standard output, with a newline behind. */
void json_show(const json_t *o);

#endif
