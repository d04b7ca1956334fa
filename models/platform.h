/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * platform: the ordered list of models that a machine has besides vCPUs and memory; machine_config.models is
 * platform_models. This is the only place where models are wired together.
 */
#ifndef BOOTRACE_MODELS_PLATFORM_H
#define BOOTRACE_MODELS_PLATFORM_H

#include "models/platform_config.h"

struct model;

/* In the order in which they are asked: Xen before the PC. */
extern const struct model *const platform_models[];
extern const unsigned platform_model_count;
/* Those of a bare PC (PLATFORM_MULTIBOOT). */
extern const struct model *const platform_bare_models[];
extern const unsigned platform_bare_model_count;

#endif
