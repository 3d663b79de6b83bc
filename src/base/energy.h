/* Energy where no counter tells: from processor time. */
#ifndef FT_BASE_ENERGY_H
#define FT_BASE_ENERGY_H

/* What a busy core of a server draws, its share of caches and memory included. */
#define FT_ENERGY_UJ_PER_CPU_US 10

#endif
