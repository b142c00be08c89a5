/* broker/store: modules by digest and owner, artifacts by module and engine, on disk, within a size limit. Store. */

#include "broker/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/memfd.h"
#include "broker/store_disk.h"

#define BUCKETS       4096
#define PATH_SIZE     256
#define ENGINE_SIZE   32 /* bytes of an engine's identity, mixed into the MAC */
#define ENGINES       2  /* enum proto_engine */
#define HEX_SIZE      (2 * DIGEST_SIZE + 1)

/* An owner's reference to a module. */
struct owner {
	uint32_t uid;
	uint64_t signature_bytes;
	int64_t stored_at;
};

struct item {
	LIST_ENTRY(item) chain;
	TAILQ_ENTRY(item) use; /* the one used longest ago first */
	uint32_t kind;         /* enum proto_store_kind */
	uint32_t engine;       /* artifacts; else 0 */
	struct digest digest;
	uint64_t size;         /* bytes of the module or artifact itself */
	int64_t used_ns;       /* at start, to put them in order */
	struct owner *owners;  /* modules */
	size_t owner_count;
};

struct store {
	int dir;
	int key_fd; /* holds the lock */
	uint8_t key[crypto_generichash_KEYBYTES];
	uint8_t engine[ENGINE_SIZE];
	char artifact_dirs[ENGINES][PATH_SIZE];
	uint64_t size_max;
	uint64_t owner_max;
	uint64_t used;
	uint64_t artifacts_used; /* of `used` */
	uint64_t last_tmp;
	size_t leftovers; /* of a crash, removed at the start */
	LIST_HEAD(, item) buckets[BUCKETS];
	TAILQ_HEAD(items, item) uses;
	size_t count;
};

/* --- names ---------------------------------------------------------------------------------------------------------- */

static const char *
hex_of(const struct digest *d, char hex[HEX_SIZE])
{
	return sodium_bin2hex(hex, HEX_SIZE, d->bytes, DIGEST_SIZE);
}

static bool
digest_of_name(const char *name, struct digest *d)
{
	char text[DIGEST_TEXT_SIZE];

	return snprintf(text, sizeof(text), "sha256:%s", name) == DIGEST_TEXT_SIZE - 1 &&
	    digest_parse(text, DIGEST_TEXT_SIZE - 1, d, NULL) == 0;
}

/* A module's directory, or an artifact's file. */
static const char *
item_path(const struct store *s, const struct item *it, char path[PATH_SIZE])
{
	char hex[HEX_SIZE];

	hex_of(&it->digest, hex);
	if (it->kind == PROTO_STORE_MODULE)
		snprintf(path, PATH_SIZE, "modules/%s", hex);
	else
		snprintf(path, PATH_SIZE, "%s/%s.cwasm", s->artifact_dirs[it->engine], hex);
	return path;
}

/* The file whose bytes the item is, and whose mtime says when it was used. */
static const char *
content_path(const struct store *s, const struct item *it, char path[PATH_SIZE])
{
	char hex[HEX_SIZE];

	if (it->kind == PROTO_STORE_ARTIFACT)
		return item_path(s, it, path);
	snprintf(path, PATH_SIZE, "modules/%s/wasm", hex_of(&it->digest, hex));
	return path;
}

static const char *
owner_path(const struct item *it, uint32_t uid, char path[PATH_SIZE])
{
	char hex[HEX_SIZE];

	snprintf(path, PATH_SIZE, "modules/%s/owners/%" PRIu32, hex_of(&it->digest, hex), uid);
	return path;
}

static const char *
tmp_path(struct store *s, const char *dir, char path[PATH_SIZE])
{
	snprintf(path, PATH_SIZE, "%s/" STORE_TMP_PREFIX "%" PRIu64, dir, ++s->last_tmp);
	return path;
}

/* --- the index ------------------------------------------------------------------------------------------------------ */

/* What a file of so many bytes counts. */
static uint64_t
charge(uint64_t bytes)
{
	return bytes == 0 ? STORE_BLOCK : (bytes + STORE_BLOCK - 1) / STORE_BLOCK * STORE_BLOCK;
}

static uint64_t
item_charge(const struct item *it)
{
	uint64_t total = charge(it->kind == PROTO_STORE_ARTIFACT ? it->size + STORE_MAC_SIZE : it->size);

	for (size_t i = 0; i < it->owner_count; i++)
		total += charge(it->owners[i].signature_bytes);
	return total;
}

/* Digests are uniform already. */
static size_t
bucket_of(const struct digest *d)
{
	uint32_t word;

	memcpy(&word, d->bytes, sizeof(word));
	return word % BUCKETS;
}

static struct item *
item_find(const struct store *s, uint32_t kind, uint32_t engine, const struct digest *digest)
{
	struct item *it;

	LIST_FOREACH(it, &s->buckets[bucket_of(digest)], chain)
		if (it->kind == kind && it->engine == engine && memcmp(&it->digest, digest, sizeof(*digest)) == 0)
			return it;
	return NULL;
}

static struct owner *
owner_find(const struct item *it, uint32_t uid)
{
	for (size_t i = 0; i < it->owner_count; i++)
		if (it->owners[i].uid == uid)
			return &it->owners[i];
	return NULL;
}

static struct item *
item_new(uint32_t kind, uint32_t engine, const struct digest *digest, uint64_t size)
{
	struct item *it = calloc(1, sizeof(*it));

	if (it == NULL)
		return NULL;
	it->kind = kind;
	it->engine = engine;
	it->digest = *digest;
	it->size = size;
	return it;
}

static void
item_free(struct item *it)
{
	if (it == NULL)
		return;
	free(it->owners);
	free(it);
}

static void
item_insert(struct store *s, struct item *it)
{
	LIST_INSERT_HEAD(&s->buckets[bucket_of(&it->digest)], it, chain);
	TAILQ_INSERT_TAIL(&s->uses, it, use);
	s->used += item_charge(it);
	s->artifacts_used += it->kind == PROTO_STORE_ARTIFACT ? item_charge(it) : 0;
	s->count++;
}

static void
item_forget(struct store *s, struct item *it)
{
	LIST_REMOVE(it, chain);
	TAILQ_REMOVE(&s->uses, it, use);
	s->used -= item_charge(it);
	s->artifacts_used -= it->kind == PROTO_STORE_ARTIFACT ? item_charge(it) : 0;
	s->count--;
	item_free(it);
}

/* It is used now: it will be the last to go, also after a restart. */
static void
item_use(struct store *s, struct item *it)
{
	char path[PATH_SIZE];

	TAILQ_REMOVE(&s->uses, it, use);
	TAILQ_INSERT_TAIL(&s->uses, it, use);
	store_disk_touch(s->dir, content_path(s, it, path));
}

/* Sets or adds an owner. The item must not be in the index, or the caller adjusts s->used. */
static int
owner_set(struct item *it, const struct owner *o, struct err *e)
{
	struct owner *there = owner_find(it, o->uid), *more;

	if (there == NULL) {
		more = realloc(it->owners, (it->owner_count + 1) * sizeof(*more));
		if (more == NULL)
			return err_set(e, ERR_NOMEM, "an owner");
		it->owners = more;
		there = &more[it->owner_count++];
	}
	*there = *o;
	return 0;
}

/* Removes an item from disk and index. A module's directory gets another name first, so that it goes at once. */
static int
item_remove(struct store *s, struct item *it, struct err *e)
{
	char path[PATH_SIZE], tmp[PATH_SIZE];
	int rc;

	item_path(s, it, path);
	if (it->kind == PROTO_STORE_MODULE && renameat(s->dir, path, s->dir, tmp_path(s, "modules", tmp)) == 0)
		rc = store_disk_remove(s->dir, tmp, e);
	else
		rc = store_disk_remove(s->dir, path, e);
	item_forget(s, it);
	return rc;
}

/*
 * What goes next: of artifacts when they take more than half, else of modules, the one used longest ago. So nobody's
 * modules go because others have theirs compiled.
 */
static struct item *
next_to_go(const struct store *s, const struct item *keep)
{
	bool artifacts = s->artifacts_used > s->size_max / 2;
	struct item *it, *other = NULL;

	TAILQ_FOREACH(it, &s->uses, use) {
		if (it == keep)
			continue;
		if ((it->kind == PROTO_STORE_ARTIFACT) == artifacts)
			return it;
		if (other == NULL)
			other = it;
	}
	return other;
}

/* Makes room for `more` bytes beside what is there, but not at the cost of `keep`. */
static int
make_room(struct store *s, uint64_t more, const struct item *keep, struct err *e)
{
	uint64_t kept = keep == NULL ? 0 : item_charge(keep);
	int rc = 0;

	if (more > s->size_max || kept > s->size_max - more)
		return err_set(e, ERR_LIMIT, "it takes %" PRIu64 " bytes, and the whole store has %" PRIu64, more + kept,
		    s->size_max);
	while (rc == 0 && s->used > s->size_max - more)
		rc = item_remove(s, next_to_go(s, keep), e);
	return rc;
}

/* Drops one owner of several. */
static int
drop_owner(struct store *s, struct item *it, uint32_t uid, struct err *e)
{
	struct owner *o = owner_find(it, uid);
	char path[PATH_SIZE];
	int rc = store_disk_remove(s->dir, owner_path(it, uid, path), e);

	if (rc != 0)
		return rc;
	s->used -= charge(o->signature_bytes);
	*o = it->owners[--it->owner_count];
	return 0;
}

/* What a module counts for each of its owners; 0 for who is none. */
static uint64_t
owner_charge(const struct item *it, uint32_t uid)
{
	const struct owner *o = it->kind == PROTO_STORE_MODULE ? owner_find(it, uid) : NULL;

	return o == NULL ? 0 : charge(it->size) + charge(o->signature_bytes);
}

/* Makes room for a module `keep` of `more` bytes among an owner's: those that were used longest ago lose this owner. */
static int
make_owner_room(struct store *s, uint32_t uid, uint64_t more, const struct item *keep, struct err *e)
{
	struct item *it, *next;
	uint64_t used = 0;
	int rc = 0;

	if (more > s->owner_max)
		return err_set(e, ERR_LIMIT, "it takes %" PRIu64 " bytes, and one user may have %" PRIu64, more, s->owner_max);
	TAILQ_FOREACH(it, &s->uses, use)
		used += it != keep ? owner_charge(it, uid) : 0;
	for (it = TAILQ_FIRST(&s->uses); rc == 0 && it != NULL && used > s->owner_max - more; it = next) {
		next = TAILQ_NEXT(it, use);
		if (it == keep || owner_charge(it, uid) == 0)
			continue;
		used -= owner_charge(it, uid);
		rc = it->owner_count > 1 ? drop_owner(s, it, uid, e) : item_remove(s, it, e);
	}
	return rc;
}

uint64_t
store_used(const struct store *s)
{
	return s->used;
}

struct proto_store_sized
store_size(const struct store *s)
{
	struct proto_store_sized z = {.bytes = s->used};
	const struct item *it;

	TAILQ_FOREACH(it, &s->uses, use)
		z.modules += it->kind == PROTO_STORE_MODULE;
	z.artifacts = s->count - z.modules;
	return z;
}

/* --- taking up what is there ------------------------------------------------------------------------------------------ */

struct scan {
	struct store *s;
	const char *dir;   /* that is being read */
	uint32_t engine;
	struct item *item; /* whose owners are being read */
	struct item **items; /* found, to be put in order */
	size_t count, room;
};

/* Removes what a crash left: it never got its name, or is no whole module or artifact. */
static int
remove_leftover(struct store *s, const char *path, struct err *e)
{
	s->leftovers++;
	return store_disk_remove(s->dir, path, e);
}

static int
scan_keep(struct scan *scan, struct item *it, struct err *e)
{
	if (scan->count == scan->room) {
		size_t room = scan->room == 0 ? 256 : 2 * scan->room;
		struct item **items = realloc(scan->items, room * sizeof(*items));

		if (items == NULL)
			return err_set(e, ERR_NOMEM, "the store's index");
		scan->items = items;
		scan->room = room;
	}
	scan->items[scan->count++] = it;
	return 0;
}

static int
scan_owner(void *arg, const char *name, struct err *e)
{
	struct scan *scan = arg;
	struct owner o = {0};
	char path[PATH_SIZE], *end;
	struct stat st;
	unsigned long long uid;

	errno = 0;
	uid = strtoull(name, &end, 10);
	if (name[0] < '0' || name[0] > '9' || *end != '\0' || errno != 0 || uid > UINT32_MAX) {
		if (snprintf(path, sizeof(path), "%s/%s", scan->dir, name) >= (int)sizeof(path))
			return err_set(e, ERR_CORRUPT, "%s holds a file that is not the store's", scan->dir);
		return remove_leftover(scan->s, path, e);
	}
	o.uid = (uint32_t)uid;
	if (fstatat(scan->s->dir, owner_path(scan->item, o.uid, path), &st, AT_SYMLINK_NOFOLLOW) != 0)
		return err_sys(e, ERR_IO, "%s", path);
	o.signature_bytes = (uint64_t)st.st_size;
	o.stored_at = st.st_mtim.tv_sec;
	return owner_set(scan->item, &o, e);
}

static int64_t
mtime_ns(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

/* One entry of modules/: a module with owners; anything else there is what a crash left. */
static int
scan_module(void *arg, const char *name, struct err *e)
{
	struct scan *scan = arg;
	struct store *s = scan->s;
	char path[PATH_SIZE], owners[PATH_SIZE];
	struct item *it = NULL;
	struct digest digest;
	struct stat st;
	int rc;

	if (snprintf(path, sizeof(path), "modules/%.100s", name) != (int)strlen(name) + 8)
		return err_set(e, ERR_CORRUPT, "modules/ holds a file that is not the store's: %s", name);
	if (!digest_of_name(name, &digest))
		return remove_leftover(s, path, e);
	if ((it = item_new(PROTO_STORE_MODULE, 0, &digest, 0)) == NULL)
		return err_set(e, ERR_NOMEM, "the store's index");
	snprintf(owners, sizeof(owners), "modules/%.64s/owners", name);
	scan->item = it;
	scan->dir = owners;
	rc = store_disk_each(s->dir, owners, scan_owner, scan, NULL);
	scan->item = NULL;
	if (rc != 0 || it->owner_count == 0 ||
	    fstatat(s->dir, content_path(s, it, owners), &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode)) {
		item_free(it);
		return remove_leftover(s, path, e);
	}
	it->size = (uint64_t)st.st_size;
	it->used_ns = mtime_ns(&st);
	if ((rc = scan_keep(scan, it, e)) != 0)
		item_free(it);
	return rc;
}

static int
scan_artifact(void *arg, const char *name, struct err *e)
{
	struct scan *scan = arg;
	struct store *s = scan->s;
	char path[2 * PATH_SIZE], hex[HEX_SIZE];
	struct digest digest;
	struct item *it;
	struct stat st;
	int rc;

	snprintf(hex, sizeof(hex), "%s", name);
	snprintf(path, sizeof(path), "%s/%s", scan->dir, name);
	if (strlen(name) != HEX_SIZE - 1 + 6 || strcmp(name + HEX_SIZE - 1, ".cwasm") != 0 || !digest_of_name(hex, &digest) ||
	    fstatat(s->dir, path, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode) || st.st_size < STORE_MAC_SIZE)
		return remove_leftover(s, path, e);
	it = item_new(PROTO_STORE_ARTIFACT, scan->engine, &digest, (uint64_t)st.st_size - STORE_MAC_SIZE);
	if (it == NULL)
		return err_set(e, ERR_NOMEM, "the store's index");
	it->used_ns = mtime_ns(&st);
	if ((rc = scan_keep(scan, it, e)) != 0)
		item_free(it);
	return rc;
}

/* One entry of artifacts/: ours are read, those of other engines are of no use. */
static int
scan_engine(void *arg, const char *name, struct err *e)
{
	struct scan *scan = arg;
	char path[2 * PATH_SIZE];

	snprintf(path, sizeof(path), "artifacts/%s", name);
	for (uint32_t i = 0; i < ENGINES; i++)
		if (strcmp(path, scan->s->artifact_dirs[i]) == 0) {
			scan->engine = i;
			scan->dir = scan->s->artifact_dirs[i];
			return store_disk_each(scan->s->dir, path, scan_artifact, scan, e);
		}
	return store_disk_remove(scan->s->dir, path, e);
}

static int
by_use(const void *a, const void *b)
{
	const struct item *x = *(struct item *const *)a, *y = *(struct item *const *)b;

	return (x->used_ns > y->used_ns) - (x->used_ns < y->used_ns);
}

static int
load_index(struct store *s, struct err *e)
{
	struct scan scan = {.s = s};
	int rc = store_disk_each(s->dir, "modules", scan_module, &scan, e);

	if (rc == 0)
		rc = store_disk_each(s->dir, "artifacts", scan_engine, &scan, e);
	if (scan.count > 0)
		qsort(scan.items, scan.count, sizeof(*scan.items), by_use);
	for (size_t i = 0; i < scan.count; i++)
		item_insert(s, scan.items[i]);
	free(scan.items);
	return rc == 0 ? make_room(s, 0, NULL, e) : rc;
}

/* Reads the key, or makes one: an artifact's MAC then tells that it was made under another. Takes the lock. */
static int
load_key(struct store *s, struct err *e)
{
	s->key_fd = openat(s->dir, "mac.key", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (s->key_fd < 0)
		return err_sys(e, ERR_IO, "mac.key");
	if (flock(s->key_fd, LOCK_EX | LOCK_NB) != 0)
		return errno == EWOULDBLOCK ? err_set(e, ERR_EXISTS, "another process has the store") :
		    err_sys(e, ERR_IO, "locking mac.key");
	if (pread(s->key_fd, s->key, sizeof(s->key), 0) == (ssize_t)sizeof(s->key))
		return 0;
	randombytes_buf(s->key, sizeof(s->key));
	if (pwrite(s->key_fd, s->key, sizeof(s->key), 0) != (ssize_t)sizeof(s->key) || fsync(s->key_fd) != 0)
		return err_sys(e, ERR_IO, "writing mac.key");
	return 0;
}

static int
make_directories(struct store *s, const char *engine_id, struct err *e)
{
	int rc = store_disk_mkdir(s->dir, "modules", e);

	if (rc == 0)
		rc = store_disk_mkdir(s->dir, "artifacts", e);
	for (uint32_t i = 0; i < ENGINES && rc == 0; i++) {
		snprintf(s->artifact_dirs[i], PATH_SIZE, "artifacts/%.64s-%" PRIu32, engine_id, i);
		rc = store_disk_mkdir(s->dir, s->artifact_dirs[i], e);
	}
	return rc;
}

int
store_open(int dir, const char *engine_id, uint64_t size_max, uint64_t owner_max, struct store **out, struct err *e)
{
	struct store *s = calloc(1, sizeof(*s));
	int rc;

	if (s == NULL)
		return err_set(e, ERR_NOMEM, "the store");
	s->dir = dir;
	s->key_fd = -1;
	s->size_max = size_max;
	s->owner_max = owner_max;
	TAILQ_INIT(&s->uses);
	crypto_generichash(s->engine, sizeof(s->engine), (const unsigned char *)engine_id, strlen(engine_id), NULL, 0);
	rc = load_key(s, e);
	if (rc == 0)
		rc = make_directories(s, engine_id, e);
	if (rc == 0)
		rc = load_index(s, e);
	if (rc != 0) {
		store_close(s);
		return rc;
	}
	*out = s;
	return 0;
}

size_t
store_leftovers(const struct store *s)
{
	return s->leftovers;
}

void
store_close(struct store *s)
{
	struct item *it;

	if (s == NULL)
		return;
	while ((it = TAILQ_FIRST(&s->uses)) != NULL)
		item_forget(s, it);
	if (s->key_fd >= 0)
		close(s->key_fd);
	sodium_memzero(s->key, sizeof(s->key));
	free(s);
}

/* --- putting ---------------------------------------------------------------------------------------------------------- */

/* What is asked for must make sense before anything is done. */
static int
check_asked(const struct proto_store *what, struct err *e)
{
	if (what->kind != PROTO_STORE_MODULE && what->kind != PROTO_STORE_ARTIFACT)
		return err_set(e, ERR_INVAL, "the store knows no kind %" PRIu32, what->kind);
	if (what->engine >= ENGINES || (what->kind == PROTO_STORE_MODULE && what->engine != 0))
		return err_set(e, ERR_INVAL, "the store knows no engine %" PRIu32 " for kind %" PRIu32, what->engine, what->kind);
	return 0;
}

/* Keyed BLAKE2b over module, engine, configuration and bytes; all but the last are of fixed length. */
static void
mac_of(const struct store *s, const struct item *it, const uint8_t *data, size_t length, uint8_t mac[STORE_MAC_SIZE])
{
	const uint8_t variant[4] = {(uint8_t)it->engine, 0, 0, 0};
	crypto_generichash_state state;

	crypto_generichash_init(&state, s->key, sizeof(s->key), STORE_MAC_SIZE);
	crypto_generichash_update(&state, it->digest.bytes, DIGEST_SIZE);
	crypto_generichash_update(&state, s->engine, sizeof(s->engine));
	crypto_generichash_update(&state, variant, sizeof(variant));
	crypto_generichash_update(&state, data, length);
	crypto_generichash_final(&state, mac, STORE_MAC_SIZE);
}

/* Fills a temporary directory with a module and its first owner, and gives it its name. */
static int
write_module(struct store *s, const struct item *it, const struct store_part *wasm, const struct store_part *signature,
    struct err *e)
{
	char tmp[PATH_SIZE], inside[PATH_SIZE + 32], path[PATH_SIZE];
	int rc;

	tmp_path(s, "modules", tmp);
	snprintf(inside, sizeof(inside), "%s/owners", tmp);
	if ((rc = store_disk_mkdir(s->dir, tmp, e)) != 0 || (rc = store_disk_mkdir(s->dir, inside, e)) != 0)
		goto out;
	snprintf(inside, sizeof(inside), "%s/owners/%" PRIu32, tmp, it->owners[0].uid);
	if ((rc = store_disk_write(s->dir, inside, signature, 1, e)) != 0)
		goto out;
	snprintf(inside, sizeof(inside), "%s/wasm", tmp);
	if ((rc = store_disk_write(s->dir, inside, wasm, 1, e)) != 0)
		goto out;
	snprintf(inside, sizeof(inside), "%s/owners", tmp);
	if ((rc = store_disk_sync(s->dir, inside, e)) != 0 || (rc = store_disk_sync(s->dir, tmp, e)) != 0)
		goto out;
	if (renameat(s->dir, tmp, s->dir, item_path(s, it, path)) != 0)
		rc = err_sys(e, ERR_IO, "renaming %s", tmp);
	else
		rc = store_disk_sync(s->dir, "modules", e);
out:
	if (rc != 0) {
		store_disk_remove(s->dir, tmp, NULL);
		store_disk_remove(s->dir, item_path(s, it, path), NULL);
	}
	return rc;
}

/* Writes a file beside its place and moves it there. */
static int
write_file(struct store *s, const char *dir, const char *path, const struct store_part *parts, size_t count, struct err *e)
{
	char tmp[PATH_SIZE];
	int rc = store_disk_write(s->dir, tmp_path(s, dir, tmp), parts, count, e);

	if (rc != 0)
		return rc;
	if (renameat(s->dir, tmp, s->dir, path) != 0) {
		rc = err_sys(e, ERR_IO, "renaming %s", tmp);
		store_disk_remove(s->dir, tmp, NULL);
		return rc;
	}
	return store_disk_sync(s->dir, dir, e);
}

/* A module that the store has already gets one owner more, or another signature by one it has. */
static int
add_owner(struct store *s, struct item *it, const struct owner *o, const struct store_part *signature, struct err *e)
{
	char dir[PATH_SIZE], path[PATH_SIZE], hex[HEX_SIZE];
	uint64_t before;
	int rc;

	item_use(s, it);
	if ((rc = make_room(s, charge(o->signature_bytes), it, e)) != 0)
		return rc;
	snprintf(dir, sizeof(dir), "modules/%s/owners", hex_of(&it->digest, hex));
	if ((rc = write_file(s, dir, owner_path(it, o->uid, path), signature, 1, e)) != 0)
		return rc;
	before = item_charge(it);
	rc = owner_set(it, o, e);
	s->used += item_charge(it) - before;
	return rc;
}

static int
put_module(struct store *s, const struct proto_store *what, const struct memfd_map *map, const struct store_part *signature,
    struct proto_store_done *done, struct err *e)
{
	struct item *it = item_find(s, PROTO_STORE_MODULE, 0, &what->digest);
	const struct owner o = {what->owner, signature->length, time(NULL)};
	const struct digest digest = digest_of(map->data, map->size);
	const struct store_part wasm = {map->data, map->size};
	int rc;

	if (!digest_equal(&digest, &what->digest))
		return err_set(e, ERR_INVAL, "the module has another digest than the one given");
	*done = (struct proto_store_done){.size = map->size, .stored_at = o.stored_at,
	    .existed = it != NULL && owner_find(it, what->owner) != NULL};
	if ((rc = make_owner_room(s, o.uid, charge(map->size) + charge(o.signature_bytes), it, e)) != 0)
		return rc;
	if (it != NULL)
		return add_owner(s, it, &o, signature, e);
	if ((it = item_new(PROTO_STORE_MODULE, 0, &digest, map->size)) == NULL)
		return err_set(e, ERR_NOMEM, "a module");
	rc = owner_set(it, &o, e);
	if (rc == 0)
		rc = make_room(s, item_charge(it), NULL, e);
	if (rc == 0)
		rc = write_module(s, it, &wasm, signature, e);
	if (rc == 0)
		item_insert(s, it);
	else
		item_free(it);
	return rc;
}

static int
put_artifact(struct store *s, const struct proto_store *what, const struct memfd_map *map, struct proto_store_done *done,
    struct err *e)
{
	struct item *there = item_find(s, PROTO_STORE_ARTIFACT, what->engine, &what->digest);
	struct item *it = item_new(PROTO_STORE_ARTIFACT, what->engine, &what->digest, map->size);
	uint8_t mac[STORE_MAC_SIZE];
	const struct store_part parts[] = {{map->data, map->size}, {mac, sizeof(mac)}};
	char path[PATH_SIZE];
	int rc = 0;

	if (it == NULL)
		return err_set(e, ERR_NOMEM, "an artifact");
	*done = (struct proto_store_done){.size = map->size, .stored_at = time(NULL), .existed = there != NULL};
	if (there != NULL)
		rc = item_remove(s, there, e);
	if (rc == 0)
		rc = make_room(s, item_charge(it), NULL, e);
	if (rc == 0) {
		mac_of(s, it, map->data, map->size, mac);
		rc = write_file(s, s->artifact_dirs[it->engine], item_path(s, it, path), parts, 2, e);
	}
	if (rc == 0)
		item_insert(s, it);
	else
		item_free(it);
	return rc;
}

int
store_put(struct store *s, const struct proto_store *what, int fd, const void *signature, size_t signature_length,
    struct proto_store_done *done, struct err *e)
{
	const struct store_part part = {signature, signature_length};
	struct proto_store_done result = {0};
	struct memfd_map map = {NULL, 0};
	size_t size = 0;
	int rc;

	if ((rc = check_asked(what, e)) != 0 || (rc = memfd_check(fd, s->size_max, &size, e)) != 0 ||
	    (rc = memfd_map(fd, size, &map, e)) != 0)
		return rc;
	if (what->kind == PROTO_STORE_MODULE)
		rc = put_module(s, what, &map, &part, &result, e);
	else if (signature_length > 0)
		rc = err_set(e, ERR_INVAL, "an artifact has no signature");
	else
		rc = put_artifact(s, what, &map, &result, e);
	memfd_unmap(&map);
	if (rc == 0)
		*done = result;
	return rc;
}

/* --- getting, removing, listing ------------------------------------------------------------------------------------------ */

/* What is asked for, if this owner may know of it; else one and the same error. */
static struct item *
item_asked(const struct store *s, const struct proto_store *what, struct err *e)
{
	struct item *it = check_asked(what, e) != 0 ? NULL : item_find(s, what->kind, what->engine, &what->digest);
	char text[DIGEST_TEXT_SIZE];

	if (it != NULL && (what->kind == PROTO_STORE_ARTIFACT || owner_find(it, what->owner) != NULL))
		return it;
	if (e->code != ERR_INVAL)
		err_set(e, ERR_NOTFOUND, "there is no %s %s of user %" PRIu32,
		    what->kind == PROTO_STORE_MODULE ? "module" : "artifact of", digest_text(&what->digest, text), what->owner);
	return NULL;
}

/* Whether the bytes in the sealed memfd are the ones that were put. */
static int
check_content(const struct store *s, const struct item *it, int fd, size_t size, const uint8_t mac[STORE_MAC_SIZE],
    struct err *e)
{
	struct memfd_map map = {NULL, 0};
	uint8_t right[STORE_MAC_SIZE];
	struct digest digest;
	bool good;
	int rc = memfd_map(fd, size, &map, e);

	if (rc != 0)
		return rc;
	if (it->kind == PROTO_STORE_MODULE) {
		digest = digest_of(map.data, map.size);
		good = digest_equal(&digest, &it->digest);
	} else {
		mac_of(s, it, map.data, map.size, right);
		good = sodium_memcmp(mac, right, sizeof(right)) == 0;
	}
	memfd_unmap(&map);
	return good ? 0 : err_set(e, ERR_CORRUPT, "the bytes are not those that were stored");
}

static int
read_signature(struct store *s, const struct item *it, uint32_t uid, void **out, size_t *length, struct err *e)
{
	char path[PATH_SIZE];
	uint8_t *data = NULL;
	size_t n = 0;
	int fd, rc;

	fd = store_disk_read(s->dir, owner_path(it, uid, path), IMSG_PAYLOAD_MAX, NULL, 0, &n, e);
	if (fd < 0)
		return fd;
	data = malloc(n + 1);
	rc = data == NULL ? err_set(e, ERR_NOMEM, "a signature") : 0;
	if (rc == 0 && pread(fd, data, n, 0) != (ssize_t)n)
		rc = err_sys(e, ERR_IO, "reading a signature");
	close(fd);
	if (rc != 0 || n == 0) {
		free(data);
		data = NULL;
	}
	if (rc == 0) {
		*out = data;
		*length = n;
	}
	return rc;
}

/* What is damaged, or has gone from under us, cannot be given again: it goes, so that it can be put anew. */
static int
drop_damaged(struct store *s, struct item *it, struct err *e)
{
	err_set(e, ERR_CORRUPT, "what the store had was damaged, and is removed: put it again");
	item_remove(s, it, NULL);
	return ERR_CORRUPT;
}

int
store_get(struct store *s, const struct proto_store *what, void **signature, size_t *signature_length,
    struct proto_store_done *done, struct err *e)
{
	struct err why = {0};
	struct item *it = item_asked(s, what, &why);
	uint8_t mac[STORE_MAC_SIZE];
	size_t size = 0, length = 0, trailer;
	void *text = NULL;
	char path[PATH_SIZE];
	int fd = -1, rc;

	if (it == NULL) {
		rc = why.code;
		goto out;
	}
	trailer = it->kind == PROTO_STORE_ARTIFACT ? sizeof(mac) : 0;
	fd = store_disk_read(s->dir, content_path(s, it, path), s->size_max, mac, trailer, &size, &why);
	rc = fd < 0 ? fd : check_content(s, it, fd, size, mac, &why);
	if (rc == 0 && it->kind == PROTO_STORE_MODULE)
		rc = read_signature(s, it, what->owner, &text, &length, &why);
	if (rc == ERR_CORRUPT || rc == ERR_NOTFOUND)
		rc = drop_damaged(s, it, &why);
	if (rc != 0)
		goto out;
	item_use(s, it);
	*signature = text;
	*signature_length = length;
	*done = (struct proto_store_done){.existed = 1, .size = size,
	    .stored_at = it->kind == PROTO_STORE_MODULE ? owner_find(it, what->owner)->stored_at : 0};
	return fd;
out:
	if (fd >= 0)
		close(fd);
	if (e != NULL)
		*e = why;
	return rc;
}

int
store_remove(struct store *s, const struct proto_store *what, struct err *e)
{
	struct err why = {0};
	struct item *it = item_asked(s, what, &why);
	int rc = why.code;

	if (it != NULL && it->kind == PROTO_STORE_MODULE && it->owner_count > 1) {
		rc = drop_owner(s, it, what->owner, &why);
	} else if (it != NULL) {
		rc = item_remove(s, it, &why);
		for (uint32_t i = 0; i < ENGINES && rc == 0 && what->kind == PROTO_STORE_MODULE; i++)
			if ((it = item_find(s, PROTO_STORE_ARTIFACT, i, &what->digest)) != NULL)
				rc = item_remove(s, it, &why);
	}
	if (rc != 0 && e != NULL)
		*e = why;
	return rc;
}

static int
by_digest(const void *a, const void *b)
{
	const struct proto_store_entry *x = a, *y = b;

	return memcmp(x->digest.bytes, y->digest.bytes, DIGEST_SIZE);
}

int
store_list(const struct store *s, const struct proto_store *what, struct proto_store_entry *out, size_t max, struct err *e)
{
	struct proto_store_entry *all = malloc((s->count + 1) * sizeof(*all));
	const struct item *it;
	size_t n = 0;

	if (all == NULL)
		return err_set(e, ERR_NOMEM, "a list of modules");
	TAILQ_FOREACH(it, &s->uses, use) {
		const struct owner *o = it->kind == PROTO_STORE_MODULE ? owner_find(it, what->owner) : NULL;

		if (o != NULL && memcmp(it->digest.bytes, what->digest.bytes, DIGEST_SIZE) >= 0)
			all[n++] = (struct proto_store_entry){it->digest, it->size, o->stored_at};
	}
	qsort(all, n, sizeof(*all), by_digest);
	if (n > max)
		n = max;
	memcpy(out, all, n * sizeof(*all));
	free(all);
	return (int)n;
}
