/* base/version: the version of brig that this is. Any process. */

#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#define BRIG_VERSION "0.1.0"

#endif
