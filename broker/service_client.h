/* broker/service_client: questions to the store and the logger, answered in order. brigd. */

#ifndef BROKER_SERVICE_CLIENT_H
#define BROKER_SERVICE_CLIENT_H

#include <event2/event.h>
#include <stdint.h>

#include "base/err.h"
#include "base/imsg.h"

struct service_client;

/*
 * Called once with the answer to one question. `m` is an answer to such a question, whole and with its descriptor; NULL
 * when the service is gone, and `why` then says how. Descriptors that it wants, it takes with imsg_take_fd.
 */
typedef void service_answer_fn(void *arg, struct imsg *m, const struct err *why);

/*
 * service_client_new - talk to a service over `sock` (taken). `name` is for messages (borrowed). READY is taken note
 * of: `ready` is called when it comes. `lost` is called once when the service is gone, has broken the protocol, or has
 * left a question open for `patience_s`, or twice that; after every open question was answered with NULL.
 */
struct service_client *service_client_new(struct event_base *base, int sock, const char *name, unsigned patience_s,
    void (*ready)(void *arg), void (*lost)(void *arg, const struct err *why), void *arg);
void service_client_free(struct service_client *s);

/*
 * service_ask - send a question. The answer repeats its token, in the order of the questions: anything else is a
 * breach of protocol. Returns 0, or an error, and then `answer` is not called. `answer` may be NULL when nobody cares.
 */
int service_ask(struct service_client *s, uint32_t type, const void *payload, size_t length, int fd /* or -1 */,
    service_answer_fn *answer, void *arg, struct err *e);

/* service_waiting - questions that are not answered yet; *oldest_ms: for how long the oldest has not been; 0: none. */
unsigned service_waiting(const struct service_client *s, int64_t *oldest_ms);

#endif
