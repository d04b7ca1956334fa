/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scene_site: which code was being changed at a place of a scene, and what its bytes were before that place, at it, and
 * afterwards. The scene is one in which nothing interfered, and it goes on until the change is done.
 */
#ifndef BOOTRACE_CLI_REPORT_SCENE_SITE_H
#define BOOTRACE_CLI_REPORT_SCENE_SITE_H

#include <stdint.h>

#include "cli/report/scene.h"
#include "emu/base/diag.h"

/* The machine stands at the scene's end. Adds the sites that vCPU `patcher` had begun and not finished to change when
   it had made `position` steps, widened to whole instructions; more than SCENE_SITES_MAX are left out. */
enum emu_err scene_site_find(const struct scene *sc, unsigned patcher, uint64_t position,
                             struct scene_site site[SCENE_SITES_MAX], unsigned *sites, struct diag *d) EMU_MUST_CHECK;

#endif
