/* base: functions whose loops are compiled for several kinds of processors; which one runs is found at the start. */
#ifndef E3_CLONES_H
#define E3_CLONES_H

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define E3_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define E3_CLONES
#endif

#endif
