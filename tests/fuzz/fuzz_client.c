/* Fuzz target: clients/c/libbrig: what a server answers, in pieces of any size. */

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"
#include "clients/c/libbrig.h"
#include "tests/fuzz/input.h"

#define ID 1 /* of the request that is answered */

/* Bytes that were decoded from base64 are what encoding them gives. */
static void
try_data(const json_t *data, const char *encoding)
{
	uint8_t *out = NULL;
	size_t length = 0;
	json_t *again;

	if (brig_data(data, encoding, &out, &length, NULL) != 0) {
		MUST(out == NULL);
		return;
	}
	if (json_is_object(data) && encoding == NULL) {
		again = brig_base64(out, length);
		MUST(json_equal(json_object_get(again, "base64"), json_object_get(data, "base64")));
		json_decref(again);
	}
	free(out);
}

static void
try_message(json_t *message)
{
	struct brig_error error = {0};
	json_t *result = NULL;
	struct err e = {0};
	int rc = brig_answer(message, ID, &result, &error, &e);

	MUST(json_is_object(message) && rc == e.code);
	MUST((rc == 0) == (result != NULL) && (rc == ERR_DENIED) == (error.code != 0));
	try_data(json_object_get(result, "stdout"), json_string_value(json_object_get(result, "encoding")));
	try_data(json_object_get(result, "stdout"), NULL);
	try_data(result, NULL);
}

/* Takes what has arrived. Returns whether the connection goes on. */
static bool
take(struct brig *b)
{
	struct err e = {0};
	json_t *message;
	int rc;

	while ((rc = brig_receive(b, &message, &e)) == 0) {
		try_message(message);
		json_decref(message);
	}
	MUST(rc == e.code && e.msg[0] != '\0');
	return rc == ERR_AGAIN;
}

/* Each piece has its length, one byte, before it. At last the server closes, and whatever is left is no message. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	int fd = input_lowest_fd(), sv[2];
	struct brig *b;
	bool open = true;

	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sv) == 0);
	MUST((b = brig_adopt(sv[0])) != NULL);
	while (open && in.left > 0) {
		struct block piece = input_take(&in, input_byte(&in));

		MUST(io_write_all(sv[1], piece.data, piece.length, NULL) == 0);
		free(piece.data);
		open = take(b);
	}
	close(sv[1]);
	MUST(!open || !take(b));
	brig_close(b);
	MUST(input_lowest_fd() == fd);
	return 0;
}
