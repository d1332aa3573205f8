/* base: the version of the library and its tools. */
#ifndef E3_VERSION_H
#define E3_VERSION_H

#define E3_VERSION "0.1.0"

#endif
