/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * soft_reset DOMID: answers a domain's SHUTDOWN_soft_reset as a toolstack does, by XEN_DOMCTL_soft_reset, which resumes
 * it. xl does so for HVM domains with emulated devices only; a PVH domain it destroys (libxl_domain_soft_reset in
 * libxl_create.c: -ERROR_INVAL unless the type is HVM).
 * Source: Xen 4.17 public/domctl.h; Linux include/uapi/xen/privcmd.h.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define HYPERVISOR_DOMCTL 36
#define INTERFACE_VERSION 0x15
#define DOMCTL_PAUSE      3
#define DOMCTL_UNPAUSE    4
#define DOMCTL_SOFT_RESET 79

struct domctl {
    uint32_t command, interface_version;
    uint16_t domid, pad[3];
    uint8_t arguments[128];
};

struct privcmd_hypercall {
    uint64_t number, argument[5];
};

static void domctl(int fd, uint32_t command, int domid)
{
    static struct domctl d __attribute__((aligned(256))); /* in one page */
    struct privcmd_hypercall call = {.number = HYPERVISOR_DOMCTL, .argument = {(uintptr_t)&d}};

    d.command = command;
    d.interface_version = INTERFACE_VERSION;
    d.domid = (uint16_t)domid;
    if (mlock(&d, sizeof(d)) == 0 && ioctl(fd, _IOC(_IOC_NONE, 'P', 0, sizeof(call)), &call) == 0)
        return;
    perror("soft_reset");
    exit(1);
}

/* Event channels are only reset of a domain that is paused. */
int main(int argc, char **argv)
{
    int fd = open("/dev/xen/privcmd", O_RDWR | O_CLOEXEC);

    if (argc != 2)
        return 2;
    domctl(fd, DOMCTL_PAUSE, atoi(argv[1]));
    domctl(fd, DOMCTL_SOFT_RESET, atoi(argv[1]));
    domctl(fd, DOMCTL_UNPAUSE, atoi(argv[1]));
    return 0;
}
