/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * version: in what the modelled versions of Xen differ towards a guest. One table, one row a version; handlers ask the
 * traits and never compare version numbers themselves. Operations that later versions added carry their first version
 * in their own row of the operation tables.
 */
#ifndef BOOTRACE_MODELS_XEN_VERSION_H
#define BOOTRACE_MODELS_XEN_VERSION_H

#include <stdbool.h>
#include <stdint.h>

#include "emu/base/diag.h"

enum xen_exchange {
    EXCHANGE_EOPNOTSUPP, /* no page can be taken from a translated guest */
    EXCHANGE_EINVAL,     /* the same with another answer */
    EXCHANGE_WORKS,
};

struct xen_traits {
    unsigned version;            /* major << 16 | minor */
    const char *extra;           /* XENVER_extraversion */
    const char *changeset;       /* XENVER_changeset */
    bool vcpu_op_einval;         /* bad vCPU ids are split into -EINVAL and -ENOENT (4.1 to 4.4) */
    uint32_t vcpu_op_hvm_mask;   /* VCPUOP_* that an HVM guest may use, one bit each */
    bool down_last_poweroff;     /* VCPUOP_down of the last vCPU ends the domain */
    bool initialise_dummy_ok;    /* VCPUOP_initialise does not want a registered vcpu_info from an HVM vCPU >= 32 */
    bool context_null_data;      /* VCPUOP_initialise takes a null segment for DS and ES */
    bool singleshot_etime;       /* VCPU_SSHOTTMR_future is obeyed */
    bool vcpu_info_ebusy;        /* the second registration answers -EBUSY, with the order of checks of 4.18 */
    bool vcpu_info_aligned;      /* vcpu_info must be aligned to a word */
    bool vcpu_info_enxio;        /* a bad offset answers -ENXIO instead of -EINVAL */
    bool vcpu_info_time_at_once; /* registering updates the time record */
    bool phys_areas;             /* VCPUOP_register_*_phys_area */
    bool fifo;                   /* FIFO event channels */
    bool fifo_expand_eopnotsupp; /* expand_array without FIFO answers -EOPNOTSUPP, not -ENOSYS */
    bool fifo_busy_ports;        /* a port whose FIFO word is still linked is not handed out */
    bool poll_usable;            /* SCHEDOP_poll refuses ports that are not bound */
    bool reset_fifo;             /* EVTCHNOP_reset ends FIFO */
    bool port_limit;             /* the toolstack limits a guest's ports (max_event_channels) */
    bool batch;                  /* XENMEM_add_to_physmap_batch, which alone maps what is foreign */
    uint8_t exchange;            /* enum xen_exchange: XENMEM_exchange of an HVM guest */
    bool exchange_order_eperm;   /* extents too large are -EPERM, not -EINVAL */
    bool virq_xenpmu;            /* VIRQ_XENPMU is each vCPU's; before, its number is a global one */
    bool params_open;            /* HVM params are the guest's to set but for a few */
    bool params_ioreq_servers;   /* … and what belongs to several device models, and VIRIDIAN (4.5) */
    bool nested_hvm;             /* HVM_PARAM_NESTEDHVM means something */
    bool params_deprecated;      /* what is no parameter any more is -EINVAL, not -EPERM */
    bool grant_reserved;         /* the first 8 entries outlive a change of the table's version, and don't hold it */
    bool grant_erange;           /* … and must be representable */
    unsigned hvm_params;         /* HVM_NR_PARAMS */
    bool soft_reset;             /* SHUTDOWN_soft_reset */
    bool upcall_vector_op;       /* HVMOP_set_evtchn_upcall_vector */
    bool cpuid_hvm_leaf;         /* CPUID leaf 4 is there */
    bool cpuid_vcpu_id;          /* CPUID leaf 4 has the vCPU id */
    bool cpuid_domid;            /* … and the domain id */
    bool cpuid_upcall_vector;    /* … and says that upcall vectors work as they should */
    bool no_pv32;                /* 32-bit PV guests are off, and what only they need */
    bool pirq_range_first;       /* unmap_pirq looks at the number first, and eoi at nothing else (4.1) */
    bool pirq_msi_seg;           /* MAP_PIRQ_TYPE_MSI_SEG */
    bool pirq_multi_msi;         /* MAP_PIRQ_TYPE_MULTI_MSI */
    bool pirq_own_number;        /* (un)map_pirq take the guest's own number for DOMID_SELF */
    bool pirq_upcall_vector;     /* pirqs go with vCPU 0's upcall vector too */
    bool console_count_signed;   /* console_io(write) takes an int (up to 4.12) */
    bool pvh;                    /* PVH without device model (start_info) */
    bool sysctl_eperm_first;     /* sysctl refuses before it reads its argument */
    uint8_t sysctl_interface;    /* XEN_SYSCTL_INTERFACE_VERSION */
    uint8_t domctl_interface;    /* XEN_DOMCTL_INTERFACE_VERSION */
    bool domctl_info_unlocated;  /* getdomaininfo is refused before its domain is looked for */
    bool range_overlaps;         /* XENMAPSPACE_gmfn_range moves an overlapping range from its end */
    unsigned grant_frames_max;   /* the default limit of grant-table frames */
    unsigned e820_max;           /* E820MAX: entries of a memory map */
};

/* The traits of a version. EMU_EINPUT, with the versions that there are, for one without a row. */
enum emu_err xen_traits_find(unsigned version, const struct xen_traits **out, struct diag *d) EMU_MUST_CHECK;

/* All rows, for tests and for listing. */
extern const struct xen_traits xen_traits_rows[];
extern const unsigned xen_traits_count;

#endif
