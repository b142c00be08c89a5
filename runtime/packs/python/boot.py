# runtime/packs/python: starts CPython, reads one job, runs it. In the guest, given to python -c.
#
# All above take_job() is done before the run: a template of this pack is forked where it first reads. Whatever is
# to be fresh in each run comes after that. The seed of hash() is older: str hashes, and so the order of sets, are those of
# the template.
import atexit, builtins, collections, dataclasses, datetime, gc, io, json, linecache, math, os, random, re, sys, \
    traceback, types, typing

JOB = "/dev/brig/job"


def take_job():
    """The job: struct proto_source of base/proto.h, then strings with their lengths before them, then the source."""
    parts = []
    file = os.open(JOB, os.O_RDONLY)
    while part := os.read(file, 65536):
        parts.append(part)
    os.close(file)
    job = parts[0] if len(parts) == 1 else b"".join(parts)
    number = int.from_bytes
    strings, at = [], 16
    for _ in range(number(job[0:4], "little") + number(job[4:8], "little")):
        length = number(job[at:at + 4], "little")
        strings.append(job[at + 4:at + 4 + length].decode("utf-8", "surrogateescape"))
        at += 4 + length
    argc = number(job[0:4], "little")
    return strings[:argc], strings[argc:], job[at:]


def report(error, source):
    """Prints an exception as Python does, without the frame of this file, with the lines of the source."""
    if sys.excepthook is not sys.__excepthook__:
        sys.excepthook(type(error), error, error.__traceback__)
        return
    lines = [line + "\n" for line in source.decode("utf-8", "replace").splitlines()]
    linecache.cache["<code>"] = (len(source), None, lines, "<code>")
    traceback.print_exception(error, limit=None)


def run(source):
    """Runs the source as __main__. Returns the exit code."""
    source = source or b"print(end='')"  # by an empty one brig learns what a run takes: it goes the way of others
    main = types.ModuleType("__main__")
    main.__builtins__ = builtins
    sys.modules["__main__"] = main
    try:
        exec(compile(source, "<code>", "exec", dont_inherit=True), main.__dict__)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return (int(end.code or 0) + 2**31) % 2**32 - 2**31  # os._exit takes it as C does
        print(end.code, file=sys.stderr)
        return 1
    except BaseException as error:
        report(error.with_traceback(error.__traceback__.tb_next), source)
        return 1
    return 0


def finish(code):
    """What the end of an interpreter does for its program, and no more: taking it apart would take longer than a run."""
    try:
        atexit._run_exitfuncs()
    finally:
        for stream in sys.stdout, sys.stderr:
            try:
                stream.flush()
            except Exception:
                code = code or 120
        os._exit(code)


def begin():
    args, env, source = take_job()
    random.seed(int.from_bytes(os.urandom(32)))  # without a number it asks for 2.5 KB, and mixes all that
    for name in list(os.environ):
        del os.environ[name]
    for name, _, value in (text.partition("=") for text in env):
        os.environ[name] = value
    sys.argv[:] = args
    sys.orig_argv[:] = args
    finish(run(source))


sys.stdout.reconfigure(line_buffering=True)
gc.collect()
gc.freeze()
begin()
