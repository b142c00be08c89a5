/* base/version: what this is. Any process. */

#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#define BRIG_VERSION  "0.1.0"
#define BRIG_PROTOCOL 1 /* of the socket (docs/protocol.md); raised when a client could notice */

#endif
