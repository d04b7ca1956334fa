/* cmocka wants these headers before its own. */
#ifndef BOOTRACE_TESTS_CMOCKA_TAP_H
#define BOOTRACE_TESTS_CMOCKA_TAP_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#endif
