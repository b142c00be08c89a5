"""Hostile modules by kind, and how each has to end. tests/scenario/test_modules.py runs them.

GROUPS: kind -> list of (name, module, end). The module is bytes, or a function that makes them when they are many.
`end` is an error ("module_invalid: part of its message"), or status, detail and perhaps a part of the reason:
"exited 0", "trapped unreachable", "limit wall_ms|cpu_ms", "failed no_start: reactor".
"""

import struct

import wasm
from wasm import (DROP, END, FOREVER, HEADER, I32, I64, MEMORY_EXPORT, UNREACHABLE, V128, WASI, active, active_elements,
                  build, call, custom, export, function_name, function_type, i32, i64, imported, leb, limits, loop,
                  name, program, section, vector, wasi_program)

PAGE = 65536
TIME = "limit wall_ms|cpu_ms"
EXIT = ("proc_exit", "i:")
NAN, BIG = b"\x43\0\0\xc0\x7f", b"\x43\0\0\x80\x7f"  # f32.const: not a number, infinite
ONE = [limits(1)]
TABLE = [wasm.FUNCREF + limits(1)]
ESCAPES = "\x1b[31m\n\u202e\u0085x"


def words(*numbers):
    return struct.pack("<%dI" % len(numbers), *(n % 2**32 for n in numbers))


def clock(timeout, clock_id=1, flags=0):
    """A subscription to a clock."""
    return struct.pack("<QB7xI4xQQH6x", 7, 0, clock_id, timeout, 0, flags)


def readable(fd, kind=1):
    return struct.pack("<QB7xI28x", 7, kind, fd)


def many(count, entry):
    """A vector of count times the same entry."""
    return leb(count) + entry * count


def errno(call_name, letters, *args, data=b"", memory=1):
    """Exits with what a call to WASI returned. data: what is at address 0."""
    code = b"".join((i32 if t == "i" else i64)(a) for t, a in zip(letters, args)) + call(0) + call(1)
    return wasi_program([(call_name, letters), EXIT], code, memory, data=[active(0, data)] if data else ())


def again(call_name, letters, *args, data=b"", memory=1):
    """The same call for ever."""
    code = loop(b"".join((i32 if t == "i" else i64)(a) for t, a in zip(letters, args)) + call(0) + DROP)
    return wasi_program([(call_name, letters)], code, memory, data=[active(0, data)] if data else ())


def exits(code):
    return wasi_program([EXIT], i32(code) + call(0))


def raises(signal):
    return errno("proc_raise", "i:i", signal)


def starts(code, **sections):
    """`code` is a start function; _start does nothing."""
    return build(types=[function_type()], functions=[b"\0"] * 2, exports=[export("_start", 1)], start=0,
                 codes=[wasm.body(code), wasm.body(b"")], **sections)


def with_import(module_name, import_name, rest):
    return build(types=[function_type()], imports=[imported(module_name, import_name, rest)], functions=[b"\0"],
                 exports=[export("_start", 1 if rest[0] == 0 else 0)], codes=[wasm.body(b"")])


def nested(opening, depth):
    return program(opening * depth + END * depth)


def br_table(targets):
    return program(b"\x02\x40" + i32(0) + b"\x0e" + many(targets, b"\0") + b"\0" + END)


GOOD = program()

# What is no module by its outline, which brigd sees itself; then what only the compiler sees.
MALFORMED = [
    ("nothing", b"", "module_invalid: does not start with"),
    ("half of the magic", b"\0as", "module_invalid: does not start with"),
    ("magic and no version", b"\0asm", "module_invalid: does not start with"),
    ("version 2", b"\0asm\2\0\0\0" + GOOD[8:], "module_invalid: version"),
    ("version in other byte order", b"\0asm\0\0\0\1" + GOOD[8:], "module_invalid: version"),
    ("component", b"\0asm\x0d\0\1\0", "module_invalid: component"),
    ("text format", b"(module (func (export \"_start\")))", "module_invalid: does not start with"),
    ("ELF", b"\x7fELF" + bytes(100), "module_invalid: does not start with"),
    ("magic twice", HEADER + GOOD, "module_invalid: "),
    ("a byte too few", GOOD[:-1], "module_invalid: runs past its end"),
    ("a byte too many", GOOD + b"\0", "module_invalid: runs past its end"),
    ("section longer than the file", HEADER + b"\1\x7f\1\x60\0\0", "module_invalid: runs past its end"),
    ("section of 4 GiB", HEADER + b"\1\xff\xff\xff\xff\x0f", "module_invalid: runs past its end"),
    ("section size in six bytes", HEADER + b"\1\x84\x80\x80\x80\x80\0\1\x60\0\0", "module_invalid: "),
    ("section size past 32 bits", HEADER + b"\1\xff\xff\xff\xff\x7f", "module_invalid: "),
    ("section size without end", HEADER + b"\1\x80\x80", "module_invalid: "),
    ("section shorter than its content", HEADER + b"\1\3\1\x60\0\0" + GOOD[8:], "module_invalid: "),
    ("section with bytes left over", HEADER + section(1, vector([function_type()]) + b"\0"),
     "module_invalid: section size"),
    ("sections in the wrong order", HEADER + section(3, b"\1\0") + section(1, b"\1\x60\0\0"),
     "module_invalid: unknown type"),
    ("types after code", GOOD + section(1, b"\0"), "module_invalid: out of order"),
    ("types twice", HEADER + section(1, b"\0") * 2, "module_invalid: out of order"),
    ("section 14", GOOD + section(14, b""), "module_invalid: section id"),
    ("section 127", GOOD + section(127, b"x"), "module_invalid: section id"),
    ("section 255", GOOD + section(255, b"x"), "module_invalid: section id"),
    ("vector of 2^32-1 types", HEADER + section(1, leb(2**32 - 1)), "module_invalid: limit"),
    ("vector of more types than there are", HEADER + section(1, b"\5\x60\0\0"), "module_invalid: "),
    ("type of no form", HEADER + section(1, b"\1\x00"), "module_invalid: "),
    ("value type of no kind", HEADER + section(1, b"\1\x60\1\x01\0"), "module_invalid: "),
    ("custom section without a name", GOOD + section(0, b""), "module_invalid: "),
    ("custom section with a name past its end", GOOD + section(0, b"\x7fa"), "module_invalid: name"),
    ("custom section with a name of 4 GiB", GOOD + section(0, b"\xff\xff\xff\xff\x0f"), "module_invalid: name"),
    ("custom section named in no UTF-8", GOOD + section(0, b"\2\xff\xfe"), "module_invalid: UTF-8"),
    ("import named in no UTF-8", with_import(b"\xff\xfe", b"\xc0\x80", b"\0\0"), "module_invalid: UTF-8"),
    ("export named by a surrogate", program(exports=[export(b"\xed\xa0\x80")]), "module_invalid: UTF-8"),
    ("functions without code", build(types=[function_type()], functions=[b"\0"]), "module_invalid: absent"),
    ("code without functions", build(types=[function_type()], codes=[wasm.body(b"")]), "module_invalid: absent"),
    ("body longer than the section", program(codes=[b"\x7f\0\x0b"]), "module_invalid: "),
    ("body of no bytes", program(codes=[b"\0"]), "module_invalid: "),
    ("body of 4 GiB", program(codes=[b"\xff\xff\xff\xff\x0f\0\x0b"]), "module_invalid: "),
    ("locals past the end", program(codes=[b"\2\x7f\x0b"]), "module_invalid: "),
    ("data count of another number", program(memories=ONE, data_count=2, data=[b"\1\1a"]),
     "module_invalid: data count"),
    ("data count without data", program(data_count=1), "module_invalid: data count"),
    ("number of seven bytes in code", program(b"\x41" + b"\x80" * 6 + b"\0" + DROP), "module_invalid: "),
    ("memory with flags 0xff", program(memories=[b"\xff\1"]), "module_invalid: "),
    ("global of neither kind", program(globals=[I32 + b"\2" + i32(0) + END]), "module_invalid: "),
    ("export of kind 9", program(exports=[export("_start", 0, 9)]), "module_invalid: "),
    ("import of kind 9", with_import("env", "x", b"\x09\0"), "module_invalid: "),
    ("element segment with flags 9", program(tables=TABLE, elements=[b"\x09\0"]), "module_invalid: "),
    ("data segment with flags 9", program(memories=ONE, data=[b"\x09\0"]), "module_invalid: "),
    ("signature that is not first", GOOD + custom("signature", b"\1\1\1\0"), "bad_signature: not the first"),
    ("signature of nobody", HEADER + custom("signature", b"\1\1\1\0") + GOOD[8:], "bad_signature: sets"),
    ("signature of nothing", HEADER + custom("signature", b"") + GOOD[8:], "bad_signature: "),
    ("signature of 4 billion sets", HEADER + custom("signature", b"\1\1\1\xff\xff\xff\xff\x0f") + GOOD[8:],
     "bad_signature: sets"),
    ("signature of noise", HEADER + custom("signature", bytes(range(256))) + GOOD[8:], "bad_signature: "),
    ("signature twice", HEADER + custom("signature", b"\1\1\1\0") * 2 + GOOD[8:], "bad_signature: "),
    ("signature of a part", GOOD + custom("signature_delimiter", bytes(16)), "bad_signature: part"),
]

# What the specification forbids.
INVALID = [
    ("add without operands", program(b"\x6a"), "module_invalid: type mismatch"),
    ("result left on the stack", program(i32(1)), "module_invalid: "),
    ("block without end", program(b"\x02\x40"), "module_invalid: "),
    ("end too many", program(END), "module_invalid: "),
    ("else without if", program(b"\x05"), "module_invalid: else"),
    ("branch out of the function", program(b"\x0c\x09"), "module_invalid: "),
    ("branch by 4 billion labels", program(b"\x0c\xff\xff\xff\xff\x0f"), "module_invalid: "),
    ("opcode 0xff", program(b"\xff"), "module_invalid: opcode"),
    ("prefix without opcode", program(b"\xfc\xff\xff\x03"), "module_invalid: "),
    ("call of an absent function", program(call(9)), "module_invalid: unknown function"),
    ("call of function 2^32-1", program(call(2**32 - 1)), "module_invalid: unknown function"),
    ("indirect call without a table", program(i32(0) + b"\x11\0\0"), "module_invalid: unknown table"),
    ("indirect call of an absent type", program(i32(0) + b"\x11\5\0", tables=TABLE), "module_invalid: unknown type"),
    ("load without memory", program(i32(0) + b"\x28\2\0" + DROP), "module_invalid: unknown memory"),
    ("load of absurd alignment", program(i32(0) + b"\x28\x7f\0" + DROP, memories=ONE), "module_invalid: "),
    ("absent local", program(b"\x20\5" + DROP), "module_invalid: unknown local"),
    ("absent global", program(b"\x23\5" + DROP), "module_invalid: unknown global"),
    ("write to a constant global", program(i32(1) + b"\x24\0", globals=[I32 + b"\0" + i32(0) + END]),
     "module_invalid: immutable"),
    ("lane 31 of 16", program(b"\xfd\x0c" + bytes(16) + b"\xfd\x15\x1f" + DROP), "module_invalid: out of bounds"),
    ("function of an absent type", program(functions=[b"\5"]), "module_invalid: unknown type"),
    ("export of an absent function", program(exports=[export("_start", 5)]), "module_invalid: unknown function"),
    ("export of an absent memory", program(exports=[MEMORY_EXPORT]), "module_invalid: unknown memory"),
    ("two exports of one name", program(exports=[export("_start")] * 2), "module_invalid: duplicate export"),
    ("start of an absent function", program(start=5), "module_invalid: unknown function"),
    ("start function with a parameter",
     build(types=[function_type([I32])], functions=[b"\0"], start=0, codes=[wasm.body(b"")]),
     "module_invalid: start function"),
    ("memory of 65537 pages", program(memories=[limits(65537)]), "module_invalid: memory size"),
    ("memory of 2^32-1 pages", program(memories=[limits(2**32 - 1)]), "module_invalid: memory size"),
    ("memory larger than its maximum", program(memories=[limits(5, 1)]), "module_invalid: minimum"),
    ("table larger than its maximum", program(tables=[wasm.FUNCREF + limits(5, 1)]), "module_invalid: minimum"),
    ("table of numbers", program(tables=[I32 + limits(1)]), "module_invalid: "),
    ("data without memory", program(data=[active(0, b"x")]), "module_invalid: unknown memory"),
    ("data for memory 7", program(memories=ONE, data=[b"\2\7" + i32(0) + END + b"\1x"]),
     "module_invalid: unknown memory"),
    ("data longer than the file", program(memories=ONE, data=[b"\1\xff\xff\xff\xff\x0f"]), "module_invalid: "),
    ("data at a float", program(memories=ONE, data=[b"\0" + NAN + END + b"\1x"]), "module_invalid: type mismatch"),
    ("data at what a call gives", program(memories=ONE, data=[b"\0" + call(0) + END + b"\1x"]),
     "module_invalid: constant"),
    ("data at an absent global", program(memories=ONE, data=[b"\0\x23\5" + END + b"\1x"]),
     "module_invalid: unknown global"),
    ("elements without a table", program(elements=[active_elements(0, [0])]), "module_invalid: unknown table"),
    ("elements that are absent functions", program(tables=TABLE, elements=[active_elements(0, [9])]),
     "module_invalid: unknown function"),
    ("init of absent data", program(i32(0) * 3 + b"\xfc\x08\5\0", memories=ONE, data_count=0),
     "module_invalid: unknown data"),
    ("init of uncounted data", program(i32(0) * 3 + b"\xfc\x08\0\0", memories=ONE, data=[b"\1\1x"]),
     "module_invalid: data count"),
    ("global that needs a later one", program(globals=[I32 + b"\0\x23\1" + END, I32 + b"\0\x23\0" + END]),
     "module_invalid: unknown global"),
    ("global that needs itself", program(globals=[I32 + b"\0\x23\0" + END]), "module_invalid: unknown global"),
    ("global without a value", program(globals=[I32 + b"\0" + END]), "module_invalid: "),
    ("reference to an undeclared function", program(b"\xd2\0" + DROP, exports=[], memories=ONE),
     "module_invalid: undeclared"),
]

# What proposals brought, or would bring.
FEATURES = [
    ("64-bit memory", program(memories=[limits(1, flags=4)]), "module_invalid: memory64"),
    ("64-bit memory of 2^48 pages", program(memories=[limits(2**48, flags=4)]), "module_invalid: var_u32"),
    ("64-bit table", program(tables=[wasm.FUNCREF + limits(1, flags=4)]), "module_invalid: memory64"),
    ("shared memory", program(memories=[limits(1, 1, flags=2)]), "module_invalid: threads"),
    ("shared memory without maximum", program(memories=[limits(1, flags=2)]), "module_invalid: threads"),
    ("pages of one byte", program(memories=[b"\x08\1\0"]), "module_invalid: page size"),
    ("two memories", program(memories=ONE * 2), "module_invalid: multiple memories"),
    ("1000 memories", program(memories=ONE * 1000), "module_invalid: memories"),
    ("atomic add", program(i32(0) + i32(1) + b"\xfe\x1e\2\0" + DROP, memories=ONE), "module_invalid: threads"),
    ("atomic fence", program(b"\xfe\3\0"), "module_invalid: threads"),
    ("wait for ever", program(i32(0) * 2 + i64(-1) + b"\xfe\1\2\0" + DROP, memories=ONE), "module_invalid: threads"),
    ("thread spawned", with_import("wasi", "thread-spawn", b"\0\0"), "failed unknown_import: wasi.thread-spawn"),
    ("structure", program(types=[b"\x5f\1" + I32 + b"\0"]), "module_invalid: gc"),
    ("array", program(types=[b"\x5e" + I32 + b"\0"]), "module_invalid: gc"),
    ("array of 2^32-1 elements", program(i32(-1) + b"\xfb\7\1" + DROP, types=[b"\x5e" + I32 + b"\0"]),
     "module_invalid: gc"),
    ("host reference", program(b"\xd0\x6f" + DROP), "module_invalid: gc"),
    ("exception tag", program(tags=[b"\0\0"]), "module_invalid: exceptions"),
    ("throw", program(b"\x08\0", tags=[b"\0\0"]), "module_invalid: exceptions"),
    ("try of today", program(b"\x1f\x40\0" + END), "module_invalid: exceptions"),
    ("try of old", program(b"\x06\x40" + END), "module_invalid: legacy_exceptions"),
    ("continuation", program(types=[b"\x5d\0"]), "module_invalid: stack switching"),
    ("128-bit multiplication", program((i64(1) * 2) + b"\xfc\x15" + DROP * 2), "module_invalid: wide arithmetic"),
    ("group of recursive types", program(types=[b"\x4e\2\x60\1\x63\2\0\x60\1\x63\1\0"]), "exited 0"),
    ("vector instructions", program(b"\xfd\x0c" + bytes(16) + DROP), "exited 0"),
    ("relaxed vector instructions", program((b"\xfd\x0c" + bytes(16)) * 2 + b"\xfd\x80\2" + DROP), "exited 0"),
    ("tail call of itself", program(b"\x12\0"), TIME),
    ("tail call through a table", program(i32(0) + b"\x13\0\0", tables=TABLE, elements=[active_elements(0, [0])]),
     TIME),
    ("tail calls of each other",
     build(types=[function_type()], functions=[b"\0"] * 2, exports=[export("_start")],
           codes=[wasm.body(b"\x12\1"), wasm.body(b"\x12\0")]), TIME),
    ("call through a reference", program(b"\xd2\0\x14\0"), "trapped stack_overflow"),
    ("call through a null reference", program(b"\xd0\0\x14\0"), "trapped null_reference"),
    ("tail call through a reference", program(b"\xd2\0\x15\0"), TIME),
    ("null as not null", program(b"\xd0\0\xd4" + DROP), "trapped null_reference"),
    ("table without initial value", program(tables=[b"\x64\0" + limits(1)]), "module_invalid: "),
    ("constant expression that adds", program(globals=[I32 + b"\0" + i32(1) * 2 + b"\x6a" + END]), "exited 0"),
]

# As many of a thing as can be had, and one more. All of these are to be quick.
MANY = [
    ("a million functions and one", HEADER + section(1, b"\1\x60\0\0") + section(3, leb(1000001)),
     "module_invalid: functions"),
    ("2^32-1 functions", HEADER + section(1, b"\1\x60\0\0") + section(3, leb(2**32 - 1)), "module_invalid: functions"),
    ("a million types and one", HEADER + section(1, leb(1000001)), "module_invalid: types"),
    ("a hundred thousand imports", lambda: program(imports=[imported("e", "", b"\0\0")] * 100000),
     "failed unknown_import: e."),
    ("a million exports and one", HEADER + section(7, leb(1000001)), "module_invalid: exports"),
    ("a hundred thousand exports",
     lambda: program(exports=[export("_start"), *(export("%x" % i) for i in range(100000))]), "exited 0"),
    ("a million globals and one", HEADER + section(6, leb(1000001)), "module_invalid: globals"),
    ("a hundred thousand globals", lambda: program(globals=[I32 + b"\0" + i32(0) + END] * 100000), "exited 0"),
    ("17 tables", program(tables=TABLE * 17), "failed too_many_tables: more than 16"),
    ("16 tables", program(tables=TABLE * 16), "exited 0"),
    ("101 tables", program(tables=TABLE * 101), "module_invalid: tables"),
    ("a table of 100001 elements", program(tables=[wasm.FUNCREF + limits(100001)]), "limit table_elements"),
    ("a table of 10000001 elements", program(tables=[wasm.FUNCREF + limits(10000001)]), "limit table_elements"),
    ("a table of 2^32-1 elements", program(tables=[wasm.FUNCREF + limits(2**32 - 1)]), "limit table_elements"),
    ("a memory of 4 GiB", program(memories=[limits(65536)]), "limit memory_bytes"),
    ("a memory of 256 MiB and a page", program(memories=[limits(4097)]), "limit memory_bytes"),
    ("1001 parameters", program(types=[function_type([I32] * 1001)]), "module_invalid: params"),
    ("1000 parameters", program(types=[function_type([I32] * 1000)]), "exited 0"),
    ("1001 results", program(types=[function_type([], [I32] * 1001)]), "module_invalid: returns"),
    ("2^32-1 parameters", HEADER + section(1, b"\1\x60" + leb(2**32 - 1)), "module_invalid: params"),
    ("4 billion locals", program(locals_=b"\1" + leb(2**32 - 1) + I32), "module_invalid: too many locals"),
    ("4 billion times two locals", program(locals_=b"\2" + (leb(2**32 - 1) + I32) * 2),
     "module_invalid: too many locals"),
    ("50001 locals", program(locals_=b"\1" + leb(50001) + I64), "module_invalid: too many locals"),
    ("50000 locals", program(locals_=b"\1" + leb(50000) + V128), "exited 0"),
    ("100000 groups of no locals", lambda: program(locals_=many(100000, b"\0" + I32)), "exited 0"),
    ("a branch table of 65521 targets", lambda: br_table(65521), "module_invalid: br_table"),
    ("a branch table of two million targets", lambda: br_table(2000000), "module_invalid: br_table"),
    ("a branch table of 2^32-1 targets", program(b"\x02\x40" + i32(0) + b"\x0e\xff\xff\xff\xff\x0f\0" + END),
     "module_invalid: "),
    ("a select of two million types", lambda: program(i32(0) * 3 + b"\x1c" + many(2000000, I32) + DROP),
     "module_invalid: "),
    ("a function of 8 MB", lambda: program(b"\x01" * 8000000), "module_invalid: body size"),
    ("a hundred thousand data segments and one", lambda: program(memories=ONE, data=[active(0, b"x")] * 100001),
     "module_invalid: data segments"),
    ("a hundred thousand data segments", lambda: program(memories=ONE, data=[active(0, b"x")] * 100000), "exited 0"),
    ("a hundred thousand element segments and one",
     lambda: program(tables=TABLE, elements=[active_elements(0, [0])] * 100001), "module_invalid: element segments"),
    ("a hundred thousand custom sections", lambda: GOOD + custom("x", b"") * 100000, "exited 0"),
    ("a custom section of 4 MB", lambda: GOOD + custom("x", bytes(4000000)), "exited 0"),
    ("a hundred thousand names",
     lambda: GOOD + custom("name", section(1, vector([leb(i) + b"\1x" for i in range(100000)]))), "exited 0"),
    ("operands a hundred thousand deep", lambda: program(i32(1) * 100000 + DROP * 100000), "exited 0"),
    ("ten thousand nested blocks", lambda: nested(b"\x02\x40", 10000), "exited 0"),
    ("ten thousand nested loops", lambda: nested(b"\x03\x40", 10000), "exited 0"),
    ("ten thousand nested ifs", lambda: nested(i32(0) + b"\x04\x40", 10000), "exited 0"),
    ("a constant expression of ten thousand additions",
     lambda: program(globals=[I32 + b"\0" + i32(1) + (i32(1) + b"\x6a") * 10000 + END]), "exited 0"),
    ("group of 10000 recursive types", program(types=[b"\x4e" + many(10000, b"\x60\1\x63\1\0")]), "exited 0"),
    ("effective types without measure",
     lambda: program(types=[function_type([I32] * 1000)], imports=[imported("e", "", b"\0\1")] * 2000),
     "module_invalid: size"),
    ("poll of a million", errno("poll_oneoff", "iiii:i", 0, 48000000, 1000000, 4, memory=2000), "exited 0"),
]

IMPORTS = [
    ("an unknown function", with_import("env", "evil", b"\0\0"), "failed unknown_import: function env.evil"),
    ("a function of WASI that is none", with_import(WASI, "evil", b"\0\0"),
     "failed unknown_import: none of preview 1's 46"),
    ("a misspelt function of WASI", with_import(WASI, "fd_wirte", b"\0\0"), "failed unknown_import: fd_write meant"),
    ("WASI preview 0", with_import("wasi_unstable", "proc_exit", b"\0\0"), "failed unknown_import: preview 0"),
    ("WASI preview 2", with_import("wasi:cli/exit@0.2.0", "exit", b"\0\0"), "failed unknown_import: wasi:cli"),
    ("WASI in capitals", with_import("WASI_SNAPSHOT_PREVIEW1", "proc_exit", b"\0\0"), "failed unknown_import: "),
    ("WASI and a NUL", with_import(WASI + "\0", "proc_exit", b"\0\0"), "failed unknown_import: "),
    ("a function of WASI of another type", with_import(WASI, "proc_exit", b"\0\0"), "failed import_type: as () -> ()"),
    ("a function of WASI of vectors",
     program(types=[function_type([V128] * 999)], imports=[imported(WASI, "fd_write", b"\0\1")]),
     "failed import_type: fd_write"),
    ("a function of WASI as memory", with_import(WASI, "fd_write", b"\2\0\1"), "failed import_type: as a memory"),
    ("a function of WASI as a global", with_import(WASI, "fd_write", b"\3" + I32 + b"\0"),
     "failed import_type: as a global"),
    ("a function of WASI as a table", with_import(WASI, "fd_write", b"\1\x70\0\1"), "failed import_type: as a table"),
    ("memory", with_import("env", "memory", b"\2\0\1"), "failed unknown_import: memory env.memory"),
    ("memory of 4 GiB", with_import("env", "memory", b"\2\0" + leb(65536)), "failed unknown_import: memory env.memory"),
    ("a table of 2^32-1", with_import("env", "table", b"\1\x70\0" + leb(2**32 - 1)),
     "failed unknown_import: table env.table"),
    ("a global", with_import("env", "stack", b"\3" + I32 + b"\1"), "failed unknown_import: global env.stack"),
    ("_start", with_import("env", "_start", b"\0\0"), "failed unknown_import: env._start"),
    ("nothing by name", with_import("", "", b"\0\0"), "failed unknown_import: function ., which"),
    ("names that act on a terminal", with_import(ESCAPES, ESCAPES, b"\0\0"),
     "failed unknown_import: ?[31m???x.?[31m???x"),
    ("names of 100000 bytes", with_import("m" * 100000, "n" * 100000, b"\0\0"), "failed unknown_import: mmm.nnn"),
    ("names of 100001 bytes", with_import("m" * 100001, "n", b"\0\0"), "module_invalid: string size"),
    ("a brig of its own", with_import("brig", "grant_all", b"\0\0"), "failed unknown_import: brig.grant_all"),
    ("the same function a thousand times",
     program(types=[wasm.wasi_type("i:")], imports=[imported(WASI, "proc_exit", b"\0\1")] * 1000), "exited 0"),
]

EXPORTS = [
    ("nothing at all", HEADER, "failed no_start: does not export _start"),
    ("nothing", program(exports=[]), "failed no_start: does not export _start"),
    ("main", program(exports=[export("main")]), "failed no_start: does not export _start"),
    ("_start and a NUL", program(exports=[export("_start\0")]), "failed no_start: "),
    ("a library", program(exports=[export("_initialize")]), "failed no_start: library"),
    ("_start as memory", program(memories=ONE, exports=[export("_start", 0, 2)]), "failed start_type: "),
    ("_start as a table", program(tables=TABLE, exports=[export("_start", 0, 1)]), "failed start_type: "),
    ("_start as a global", program(globals=[I32 + b"\0" + i32(1) + END], exports=[export("_start", 0, 3)]),
     "failed start_type: "),
    ("_start with a parameter",
     build(types=[function_type([I32])], functions=[b"\0"], exports=[export("_start")], codes=[wasm.body(b"")]),
     "failed start_type: "),
    ("_start with a result",
     build(types=[function_type([], [I32])], functions=[b"\0"], exports=[export("_start")], codes=[wasm.body(i32(1))]),
     "failed start_type: "),
    ("_start of a thousand results",
     build(types=[function_type([], [I64] * 1000)], functions=[b"\0"], exports=[export("_start")],
           codes=[wasm.body(i64(1) * 1000)]), "failed start_type: "),
    ("_start that is an import",
     build(types=[wasm.wasi_type(":i")], imports=[imported(WASI, "sched_yield", b"\0\0")], exports=[export("_start")]),
     "failed start_type: "),
    ("memory as a function",
     wasi_program([("random_get", "ii:i")], i32(0) * 2 + call(0) + DROP, exports=[export("memory", 0)]), "exited 0"),
    ("memory as a function that is written to",
     wasi_program([("random_get", "ii:i")], i32(0) + i32(8) + call(0) + DROP, exports=[export("memory", 0)]),
     "failed no_memory: random_get"),
    ("no memory, and writes",
     wasi_program([("fd_write", "iiii:i")], i32(1) + i32(0) + i32(1) + i32(8) + call(0) + DROP, exports=()),
     "failed no_memory: fd_write"),
    ("no memory, and asks for arguments",
     wasi_program([("args_sizes_get", "ii:i")], i32(0) * 2 + call(0) + DROP, exports=()),
     "failed no_memory: args_sizes_get"),
    ("no memory, and exits", wasi_program([EXIT], i32(7) + call(0), exports=()), "exited 7"),
    ("names that act on a terminal", program(exports=[export("_start"), export(ESCAPES)]), "exited 0"),
    ("names that act on a terminal, twice", program(exports=[export("_start"), export(ESCAPES), export(ESCAPES)]),
     "module_invalid: ?[31m ??x"),
    ("an element of a table by name",
     program(tables=TABLE, exports=[export("_start"), export("__indirect_function_table", 0, 1)]), "exited 0"),
]

SEGMENTS = [
    ("data past the end", program(memories=ONE, data=[active(PAGE - 1, b"ab")]), "trapped memory_out_of_bounds"),
    ("data at the end", program(memories=ONE, data=[active(PAGE, b"")]), "exited 0"),
    ("no data past the end", program(memories=ONE, data=[active(PAGE + 1, b"")]), "trapped memory_out_of_bounds"),
    ("data at 2^32-1", program(memories=ONE, data=[active(-1, b"a")]), "trapped memory_out_of_bounds"),
    ("data in a memory of no pages", program(memories=[limits(0)], data=[active(0, b"a")]),
     "trapped memory_out_of_bounds"),
    ("data far apart", program(memories=[limits(4096)], data=[active(0, b"a"), active((256 << 20) - 1, b"a")]),
     "exited 0"),
    ("data beyond what may be had", program(memories=[limits(65536)], data=[active(-2, b"a")]), "limit memory_bytes"),
    ("data at an overflowing sum",
     program(memories=ONE, data=[b"\0" + i32(2**31 - 1) + i32(2**31 - 1) + b"\x6a" + END + b"\1x"]),
     "trapped memory_out_of_bounds"),
    ("passive data past its end",
     program(i32(0) * 2 + i32(9) + b"\xfc\x08\0\0", memories=ONE, data_count=1, data=[b"\1\1x"]),
     "trapped memory_out_of_bounds"),
    ("passive data from 2^32-1",
     program(i32(0) + i32(-1) * 2 + b"\xfc\x08\0\0", memories=ONE, data_count=1, data=[b"\1\1x"]),
     "trapped memory_out_of_bounds"),
    ("passive data to 2^32-1",
     program(i32(-1) + i32(0) + i32(1) + b"\xfc\x08\0\0", memories=ONE, data_count=1, data=[b"\1\1x"]),
     "trapped memory_out_of_bounds"),
    ("passive data that was dropped",
     program(b"\xfc\x09\0" + i32(0) * 2 + i32(1) + b"\xfc\x08\0\0", memories=ONE, data_count=1, data=[b"\1\1x"]),
     "trapped memory_out_of_bounds"),
    ("active data that is used again",
     program(i32(0) * 2 + i32(1) + b"\xfc\x08\0\0", memories=ONE, data_count=1, data=[active(0, b"x")]),
     "trapped memory_out_of_bounds"),
    ("data dropped for ever", program(loop(b"\xfc\x09\0"), memories=ONE, data_count=1, data=[b"\1\1x"]), TIME),
    ("elements past the end", program(tables=TABLE, elements=[active_elements(1, [0])]), "trapped table_out_of_bounds"),
    ("elements at 2^32-1", program(tables=TABLE, elements=[active_elements(-1, [0])]), "trapped table_out_of_bounds"),
    ("passive elements past their end",
     program(i32(0) * 2 + i32(9) + b"\xfc\x0c\0\0", tables=TABLE, elements=[b"\1\0\1\0"]),
     "trapped table_out_of_bounds"),
    ("passive elements that were dropped",
     program(b"\xfc\x0d\0" + i32(0) * 2 + i32(1) + b"\xfc\x0c\0\0", tables=TABLE, elements=[b"\1\0\1\0"]),
     "trapped table_out_of_bounds"),
    ("declared elements that are used",
     program(i32(0) * 2 + i32(1) + b"\xfc\x0c\0\0", tables=TABLE, elements=[b"\3\0\1\0"]),
     "trapped table_out_of_bounds"),
]


def indirect(index, type_index=0, **sections):
    return program(i32(index) + b"\x11" + leb(type_index) + b"\0", tables=TABLE, **sections)


def wide_frame(count):
    """Recursion that keeps so many vectors alive."""
    sets = b"".join(b"\xfd\x0c" + bytes(16) + b"\x21" + leb(i) for i in range(count))
    gets = b"".join(b"\x20" + leb(i) + DROP for i in range(count))
    return program(sets + call(0) + gets, locals_=b"\1" + leb(count) + V128)


def counted_exit(depth, code):
    """Calls itself so often, then exits."""
    count = b"\x23\0" + i32(1) + b"\x6a\x24\0"
    leave = b"\x23\0" + i32(depth) + b"\x46\x04\x40" + i32(code) + call(0) + END
    return wasi_program([EXIT], count + leave + call(1), globals=[I32 + b"\1" + i32(0) + END])


# Custom sections that tools and engines know.
KNOWN = (".debug_info", ".debug_abbrev", ".debug_line", ".debug_str", "sourceMappingURL", "dylink.0", "producers",
         "target_features", "linking", "core")

TRAPS = [
    ("unreachable", program(UNREACHABLE), "trapped unreachable"),
    ("unreachable in the start function", starts(UNREACHABLE), "trapped unreachable"),
    ("division by zero", program(i32(1) + i32(0) + b"\x6d" + DROP), "trapped integer_division_by_zero"),
    ("remainder by zero, 64 bits", program(i64(1) + i64(0) + b"\x81" + DROP), "trapped integer_division_by_zero"),
    ("division that overflows", program(i32(-2**31) + i32(-1) + b"\x6d" + DROP), "trapped integer_overflow"),
    ("division that overflows, 64 bits", program(i64(-2**63) + i64(-1) + b"\x7f" + DROP), "trapped integer_overflow"),
    ("no number as an integer", program(NAN + b"\xa8" + DROP), "trapped bad_conversion_to_integer"),
    ("infinity as an integer", program(BIG + b"\xa8" + DROP), "trapped integer_overflow"),
    ("load past the end", program(i32(PAGE - 3) + b"\x28\2\0" + DROP, memories=ONE), "trapped memory_out_of_bounds"),
    ("load at 2^32-1", program(i32(-1) + b"\x2d\0\0" + DROP, memories=ONE), "trapped memory_out_of_bounds"),
    ("load at an address and offset that wrap", program(i32(-4) + b"\x28\2\xff\xff\xff\xff\x0f" + DROP, memories=ONE),
     "trapped memory_out_of_bounds"),
    ("store at the largest address there is",
     program(i32(-1) + b"\xfd\x0c" + bytes(16) + b"\xfd\x0b\4\xff\xff\xff\xff\x0f", memories=ONE),
     "trapped memory_out_of_bounds"),
    ("load from a memory of no pages", program(i32(0) + b"\x28\2\0" + DROP, memories=[limits(0)]),
     "trapped memory_out_of_bounds"),
    ("fill past the end", program(i32(0) * 2 + i32(PAGE + 1) + b"\xfc\x0b\0", memories=ONE),
     "trapped memory_out_of_bounds"),
    ("fill of 4 GiB", program(i32(0) * 2 + i32(-1) + b"\xfc\x0b\0", memories=ONE), "trapped memory_out_of_bounds"),
    ("copy of 4 GiB", program(i32(0) * 2 + i32(-1) + b"\xfc\x0a\0\0", memories=ONE), "trapped memory_out_of_bounds"),
    ("table read past the end", program(i32(9) + b"\x25\0" + DROP, tables=TABLE), "trapped table_out_of_bounds"),
    ("table write past the end", program(i32(-1) + b"\xd0\x70\x26\0", tables=TABLE), "trapped table_out_of_bounds"),
    ("table fill past the end", program(i32(0) + b"\xd0\x70" + i32(-1) + b"\xfc\x11\0", tables=TABLE),
     "trapped table_out_of_bounds"),
    ("table copy past the end", program(i32(0) * 2 + i32(-1) + b"\xfc\x0e\0\0", tables=TABLE),
     "trapped table_out_of_bounds"),
    ("indirect call past the end", indirect(9), "trapped table_out_of_bounds"),
    ("indirect call of 2^32-1", indirect(-1), "trapped table_out_of_bounds"),
    ("indirect call of nothing", indirect(0), "trapped indirect_call_to_null"),
    ("indirect call of another type",
     program(i32(1) + i32(0) + b"\x11\1\0", types=[function_type([I32])], tables=TABLE,
             elements=[active_elements(0, [0])]), "trapped bad_signature"),
    ("indirect call of itself", indirect(0, elements=[active_elements(0, [0])]), "trapped stack_overflow"),
    ("recursion", program(call(0)), "trapped stack_overflow"),
    ("recursion in the start function", starts(call(0)), "trapped stack_overflow"),
    ("recursion with large frames", program(call(0), locals_=b"\1" + leb(30000) + I64), "trapped stack_overflow"),
    ("a frame larger than the stack", lambda: wide_frame(50000), "trapped stack_overflow"),
    ("recursion between host calls", wasi_program([("sched_yield", ":i")], call(0) + DROP + call(1)),
     "trapped stack_overflow"),
    ("recursion of a thousand parameters",
     build(types=[function_type(), function_type([I64] * 1000)], functions=[b"\0\1"[:1], b"\1"],
           exports=[export("_start")], codes=[wasm.body(i64(1) * 1000 + call(1)), wasm.body(i64(1) * 1000 + call(1))]),
     "trapped stack_overflow"),
]

ENDLESS = [
    ("a loop", program(FOREVER), TIME),
    ("a loop in the start function", starts(FOREVER), TIME),
    ("loops in loops", program(b"\x03\x40" * 1000 + b"\x0c\0" + END * 1000), TIME),
    ("fills of 256 MiB", program(loop(i32(0) * 2 + i32(256 << 20) + b"\xfc\x0b\0"), memories=[limits(4096)]), TIME),
    ("copies of 128 MiB", program(loop(i32(0) + i32(128 << 20) * 2 + b"\xfc\x0a\0\0"), memories=[limits(4096)]), TIME),
    ("every page touched, over and over",
     program(
             loop(b"\x20\0" + i32(1) + b"\x36\2\0\x20\0" + i32(PAGE) + b"\x6a" + i32((256 << 20) - 1) + b"\x71\x21\0"),
             locals_=b"\1\1" + I32, memories=[limits(4096)]), TIME),
    ("memory that grows", program(loop(i32(1) + b"\x40\0" + DROP), memories=ONE), TIME),
    ("memory that grows by 4 GiB", program(loop(i32(-1) + b"\x40\0" + DROP), memories=ONE), TIME),
    ("a table that grows", program(loop(b"\xd0\x70" + i32(1) + b"\xfc\x0f\0" + DROP), tables=TABLE), TIME),
    ("a table that grows by 2^32-1", program(loop(b"\xd0\x70" + i32(-1) + b"\xfc\x0f\0" + DROP), tables=TABLE), TIME),
    ("table fills",
     program(loop(i32(0) + b"\xd0\x70" + i32(100000) + b"\xfc\x11\0"), tables=[wasm.FUNCREF + limits(100000)]), TIME),
    ("host calls", again("sched_yield", ":i"), TIME),
    ("host calls that fail", again("fd_close", "i:i", 99), TIME),
    ("the time", again("clock_time_get", "iIi:i", 1, 0, 0), TIME),
    ("random bytes", again("random_get", "ii:i", 0, PAGE), TIME),
    ("random bytes by 256 MiB", again("random_get", "ii:i", 0, 256 << 20, memory=4096), TIME),
    ("reading nothing", again("fd_read", "iiii:i", 0, 0, 1, 16, data=words(64, 1000)), TIME),
    ("writing nothing", again("fd_write", "iiii:i", 1, 0, 1, 16, data=words(64, 0)), TIME),
    ("a flood of output", again("fd_write", "iiii:i", 1, 0, 1, 16, data=words(64, 60000)), TIME),
    ("a flood of errors", again("fd_write", "iiii:i", 2, 0, 1, 16, data=words(64, 60000)), TIME),
    ("a flood by single bytes", again("fd_write", "iiii:i", 1, 0, 1, 16, data=words(0, 1)), TIME),
    ("a write of 33 million pieces", errno("fd_write", "iiii:i", 1, 0, (256 << 20) // 8 - 1, 0, memory=4096), TIME),
    ("sleep for ever", errno("poll_oneoff", "iiii:i", 0, 1024, 1, 2048, data=clock(2**64 - 1)), TIME),
    ("sleep until the end of time", errno("poll_oneoff", "iiii:i", 0, 1024, 1, 2048, data=clock(2**64 - 1, 0, 1)),
     TIME),
    ("a thousand sleepers", errno("poll_oneoff", "iiii:i", 0, 50000, 1000, 65000, data=clock(2**63) * 1000, memory=2),
     TIME),
    ("polls that are ready", again("poll_oneoff", "iiii:i", 0, 1024, 1, 2048, data=readable(1, 2)), TIME),
    ("yields between tail calls", wasi_program([("sched_yield", ":i")], call(0) + DROP + b"\x12\1"), TIME),
]

# Numbers of preview 1.
BADF, FAULT, INVAL, NOSYS, NOTDIR, NOTSOCK, NOTSUP, SPIPE = 8, 21, 28, 52, 54, 57, 58, 70

ERRNOS = [
    ("write of 2^32-1 pieces", errno("fd_write", "iiii:i", 1, 0, -1, 0), FAULT),
    ("write of pieces whose size wraps", errno("fd_write", "iiii:i", 1, 8, 2**29, 0), FAULT),
    ("write from pieces past the end", errno("fd_write", "iiii:i", 1, PAGE - 4, 1, 0), FAULT),
    ("write of a piece past the end", errno("fd_write", "iiii:i", 1, 0, 1, 16, data=words(PAGE - 1, 2)), FAULT),
    ("write of a piece that wraps", errno("fd_write", "iiii:i", 1, 0, 1, 16, data=words(-16, 32)), FAULT),
    ("write with its count past the end", errno("fd_write", "iiii:i", 1, 0, 1, PAGE - 3, data=words(0, 1)), FAULT),
    ("write of pieces that lie on each other", errno("fd_write", "iiii:i", 1, 0, 1000, 0, data=words(0, PAGE) * 1000),
     0),
    ("write with its count among the pieces", errno("fd_write", "iiii:i", 1, 0, 2, 4, data=words(0, 8, 0, 8)), 0),
    ("write of no pieces", errno("fd_write", "iiii:i", 1, 0, 0, 16), 0),
    ("write to stdin", errno("fd_write", "iiii:i", 0, 0, 1, 16, data=words(0, 1)), BADF),
    ("write to descriptor 3", errno("fd_write", "iiii:i", 3, 0, 1, 16, data=words(0, 1)), BADF),
    ("write to descriptor 2^32-1", errno("fd_write", "iiii:i", -1, 0, 1, 16, data=words(0, 1)), BADF),
    ("read from stdout", errno("fd_read", "iiii:i", 1, 0, 1, 16, data=words(0, 1)), BADF),
    ("read of 2^32-1 pieces", errno("fd_read", "iiii:i", 0, 0, -1, 0), FAULT),
    ("read into its own pieces", errno("fd_read", "iiii:i", 0, 0, 8, 0, data=words(0, 64) * 8), 0),
    ("read at a position", errno("fd_pread", "iiiIi:i", 0, 0, 1, -1, 16, data=words(0, 1)), SPIPE),
    ("write at a position", errno("fd_pwrite", "iiiIi:i", 1, 0, -1, -1, -1), SPIPE),
    ("seek to -2^63", errno("fd_seek", "iIii:i", 1, -2**63, 0, 0), SPIPE),
    ("seek from nowhere", errno("fd_seek", "iIii:i", 1, 0, 255, 0), INVAL),
    ("tell past the end", errno("fd_tell", "ii:i", 1, -1), SPIPE),
    ("close of stdin", errno("fd_close", "i:i", 0), 0),
    ("close of 2^32-1", errno("fd_close", "i:i", -1), BADF),
    ("stdout renumbered to stdin", errno("fd_renumber", "ii:i", 1, 0), 0),
    ("stdout renumbered to 2^32-1", errno("fd_renumber", "ii:i", 1, -1), BADF),
    ("2^32-1 renumbered to stdout", errno("fd_renumber", "ii:i", -1, 1), BADF),
    ("stdout renumbered to itself", errno("fd_renumber", "ii:i", 1, 1), 0),
    ("allocation of 2^64-1", errno("fd_allocate", "iII:i", 1, -1, -1), SPIPE),
    ("advice of no kind", errno("fd_advise", "iIIi:i", 1, 0, 0, 99), INVAL),
    ("size of 2^64-1", errno("fd_filestat_set_size", "iI:i", 1, -1), INVAL),
    ("flags of all bits", errno("fd_fdstat_set_flags", "ii:i", 1, -1), INVAL),
    ("rights of all bits", errno("fd_fdstat_set_rights", "iII:i", 1, -1, -1), 76),
    ("state past the end", errno("fd_fdstat_get", "ii:i", 1, PAGE - 23), FAULT),
    ("state of a file past the end", errno("fd_filestat_get", "ii:i", 1, -1), FAULT),
    ("directory that was opened before", errno("fd_prestat_get", "ii:i", 3, 0), BADF),
    ("name of a directory, 4 GiB long", errno("fd_prestat_dir_name", "iii:i", 3, 0, -1), BADF),
    ("directory of a pipe", errno("fd_readdir", "iiiIi:i", 1, 0, -1, -1, -1), NOTDIR),
    ("open of a path of 4 GiB", errno("path_open", "iiiiiIIii:i", 3, 0, 0, -1, 0, -1, -1, 0, 0), BADF),
    ("open below stdin", errno("path_open", "iiiiiIIii:i", 0, -1, -1, -1, -1, -1, -1, -1, -1), NOTDIR),
    ("link of wild paths", errno("path_link", "iiiiiii:i", -1, -1, -1, -1, -1, -1, -1), BADF),
    ("symbolic link of wild paths", errno("path_symlink", "iiiii:i", -1, -1, 0, -1, -1), NOTDIR),
    ("rename of wild paths", errno("path_rename", "iiiiii:i", 0, -1, -1, 1, -1, -1), NOTDIR),
    ("arguments past the end", errno("args_get", "ii:i", PAGE - 1, PAGE - 1), FAULT),
    ("arguments on their own pointers", errno("args_get", "ii:i", 0, 0), 0),
    ("argument sizes past the end", errno("args_sizes_get", "ii:i", 0, -1), FAULT),
    ("environment at -1", errno("environ_get", "ii:i", -1, -1), FAULT),
    ("random bytes by 4 GiB", errno("random_get", "ii:i", 0, -1), FAULT),
    ("random bytes past the end", errno("random_get", "ii:i", -1, 1), FAULT),
    ("no random bytes past the end", errno("random_get", "ii:i", PAGE + 1, 0), FAULT),
    ("clock 2^32-1", errno("clock_time_get", "iIi:i", -1, 0, 0), INVAL),
    ("resolution of clock 99", errno("clock_res_get", "ii:i", 99, 0), INVAL),
    ("time past the end", errno("clock_time_get", "iIi:i", 0, -1, PAGE - 7), FAULT),
    ("poll of nothing", errno("poll_oneoff", "iiii:i", 0, 0, 0, 0), INVAL),
    ("poll of 2^32-1", errno("poll_oneoff", "iiii:i", 0, 0, -1, 0), FAULT),
    ("poll of a million past the end", errno("poll_oneoff", "iiii:i", 0, 0, 1000000, 0), FAULT),
    ("poll with events on subscriptions", errno("poll_oneoff", "iiii:i", 0, 0, 1000, 48000, data=clock(0) * 1000), 0),
    ("poll of kind 9", errno("poll_oneoff", "iiii:i", 0, 1024, 1, 2048, data=readable(0, 9)), INVAL),
    ("poll of clock 99", errno("poll_oneoff", "iiii:i", 0, 1024, 1, 2048, data=clock(1, 99)), INVAL),
    ("poll of descriptor 2^32-1", errno("poll_oneoff", "iiii:i", 0, 1024, 1, 2048, data=readable(2**32 - 1)), 0),
    ("socket accepted from stdin", errno("sock_accept", "iii:i", 0, 0, 0), NOTSOCK),
    ("socket sent 2^32-1 pieces", errno("sock_send", "iiiii:i", 1, 0, -1, 0, 0), NOTSOCK),
    ("socket received from nobody", errno("sock_recv", "iiiiii:i", -1, -1, -1, -1, -1, -1), BADF),
    ("signal 99", raises(99), INVAL),
    ("signal 0", raises(0), 0),
    ("signal that stops", raises(18), NOTSUP),
]

EXITS = [
    *(("exit code %d" % code, exits(code), "exited %d" % code) for code in (0, 1, 126, 255, 256, 2**31, 2**32 - 1)),
    ("exit in the start function",
     build(types=[function_type(), wasm.wasi_type("i:")], imports=[imported(WASI, "proc_exit", b"\0\1")],
           functions=[b"\0"] * 2, exports=[export("_start", 2)], start=1,
           codes=[wasm.body(i32(7) + call(0)), wasm.body(UNREACHABLE)]), "exited 7"),
    ("exit deep in the stack", counted_exit(5000, 9), "exited 9"),
    ("exit, then unreachable", wasi_program([EXIT], i32(3) + call(0) + UNREACHABLE), "exited 3"),
    ("abort", raises(6), "trapped signal: SIGABRT"),
    ("kill of itself", raises(9), "trapped signal: SIGKILL"),
    ("end of the last signal", raises(30), "trapped signal: SIGSYS"),
]

NAMES = [
    ("a name that acts on a terminal", program(UNREACHABLE, extra=function_name(ESCAPES)), "trapped unreachable"),
    ("a name with a NUL", program(UNREACHABLE, extra=function_name("a\0b")), "trapped unreachable"),
    ("a name of a megabyte", lambda: program(UNREACHABLE, extra=function_name("n" * 1000000)), "trapped unreachable"),
    ("a name of a megabyte of such", lambda: program(UNREACHABLE, extra=function_name(ESCAPES * 99000)),
     "trapped unreachable"),
    ("a name in no UTF-8", program(UNREACHABLE, extra=function_name(b"\xff\xfe\x80")), "trapped unreachable"),
    ("a mangled name without end", program(UNREACHABLE, extra=function_name("_ZN" + "9" * 5000)),
     "trapped unreachable"),
    ("a mangled name that repeats itself", program(UNREACHABLE, extra=function_name("_RNv" + "B_" * 2000)),
     "trapped unreachable"),
    ("names of absent functions",
     program(UNREACHABLE, extra=custom("name", section(1, vector([leb(i) + name("x") for i in (5, 2**32 - 1)])))),
     "trapped unreachable"),
    ("names that are cut", program(UNREACHABLE, extra=custom("name", b"\1\xff\xff\xff\xff\x0f")),
     "trapped unreachable"),
    ("a name for the module that acts on a terminal",
     program(UNREACHABLE, extra=custom("name", section(0, name(ESCAPES)))), "trapped unreachable"),
    ("deep frames of long names", program(call(0), extra=function_name("\u20ac" * 5000)), "trapped stack_overflow"),
    ("an invalid function of a long name", program(b"\x6a", extra=function_name("n" * 90000)),
     "module_invalid: type mismatch"),
    ("an invalid function of a name that acts", program(b"\x6a", extra=function_name(ESCAPES)),
     "module_invalid: type mismatch"),
    ("noise where debug information should be",
     program(UNREACHABLE, extra=b"".join(custom(n, bytes(range(256)) * 8) for n in KNOWN)), "trapped unreachable"),
]

# What fits nowhere else: at the edge of what is valid, or of what a host call takes.
ODD = [
    ("numbers written longer than they are", HEADER + b"\1\x84\x80\x80\x80\0\1\x60\0\0" + GOOD[8 + 6:], "exited 0"),
    ("a constant of five bytes for one", program(b"\x41\x80\x80\x80\x80\0" + DROP), "exited 0"),
    ("a hundred thousand groups of no locals",
     lambda: program(locals_=leb(100000) + (b"\0" + I32) * 100000), "exited 0"),
    ("locals whose number overflows", program(locals_=b"\2" + leb(2**32 - 1) + I32 + leb(2**32 - 1) + I64),
     "module_invalid: locals"),
    ("a type of 1001 parameters", program(types=[function_type([I32] * 1001)]), "module_invalid: "),
    ("a type of 1001 results", program(types=[function_type([], [I32] * 1001)]), "module_invalid: "),
    ("a choice of two types", program(i32(1) * 3 + b"\x1c\2" + I32 * 2 + DROP), "module_invalid: "),
    ("lanes that are not there", program((b"\xfd\x0c" + bytes(16)) * 2 + b"\xfd\x0d" + b"\x20" * 16 + DROP),
     "module_invalid: "),
    ("tail calls for ever", program(b"\x12\0"), TIME),
    ("indirect tail calls for ever",
     program(i32(0) + b"\x13\0\0", tables=TABLE, elements=[active_elements(0, [0])]), TIME),
    ("a loop of a thousand values",
     program(i64(1) * 1000 + b"\x03\1\x0c\0" + END + DROP * 1000, types=[function_type([I64] * 1000, [I64] * 1000)]), TIME),
    ("a switch that goes back everywhere",
     lambda: program(b"\x03\x40" + b"\x02\x40" * 500 + i32(7) + b"\x0e" + leb(499) + b"".join(
         leb(i) for i in range(500)) + END * 500 + b"\x0c\0" + END), TIME),
    ("a hundred thousand choices in a row", lambda: program((i32(0) + b"\x04\x40\x05" + END) * 100000), "exited 0"),
    ("a hundred thousand choices in each other",
     lambda: program(i32(1) + (i32(2) + i32(0) + b"\x1b") * 100000 + DROP), "exited 0"),
    ("a hundred thousand drops of nothing", lambda: program(UNREACHABLE + DROP * 100000), "trapped unreachable"),
    ("operators that nobody reaches", program(b"\x0f" + b"\x6a" * 10000 + DROP), "exited 0"),
    ("no number, saturated", program((NAN + b"\xfc\0" + DROP) * 100), "exited 0"),
    ("infinity, saturated", program((BIG + b"\xfc\1" + DROP) * 100), "exited 0"),
    ("the name section three times", GOOD + function_name("a") * 3, "exited 0"),
    ("custom sections between all others",
     HEADER + b"".join(custom("", b"x") + part for part in (section(1, b"\1\x60\0\0"), section(3, b"\1\0"),
                                                          section(7, b"\1" + export("_start")),
                                                          section(10, b"\1" + wasm.body(b"")))), "exited 0"),
    ("a hundred thousand names of one function",
     lambda: program(exports=[export("_start")] + [export("e%d" % i) for i in range(99999)]), "exited 0"),
    ("a thousand functions that are not there",
     program(imports=[imported("m%d" % i, "f", b"\0\0") for i in range(1000)]), "failed unknown_import: m0.f"),
    ("a table of what may be had", program(tables=[wasm.FUNCREF + limits(10000)]), "exited 0"),
    ("a table of ten million", program(tables=[wasm.FUNCREF + limits(10**7)]), "limit table_elements"),
    ("a table of 2^32-1", program(tables=[wasm.FUNCREF + limits(2**32 - 1)]), "limit table_elements"),
    ("copy onto itself", program(i32(0) + i32(1) + i32(PAGE - 1) + b"\xfc\x0a\0\0", memories=ONE), "exited 0"),
    ("copy of nothing past the end", program(i32(PAGE + 1) + i32(0) * 2 + b"\xfc\x0a\0\0", memories=ONE),
     "trapped memory_out_of_bounds"),
    ("poll of nothing", errno("poll_oneoff", "iiii:i", 0, 0, 0, 4), "exited %d" % INVAL),
    ("poll of what overlaps its answer", errno("poll_oneoff", "iiii:i", 0, 8, 1, 4, data=clock(1)), "exited 0"),
    ("poll of no kind", errno("poll_oneoff", "iiii:i", 0, 1024, 1, 2048, data=readable(0, 99)), "exited %d" % INVAL),
    ("poll with 2^32-1 subscriptions", errno("poll_oneoff", "iiii:i", 0, 0, -1, 4), "exited %d" % FAULT),
    ("arguments behind the end", errno("args_get", "ii:i", -1, -1), "exited %d" % FAULT),
    ("random bytes behind the end", errno("random_get", "ii:i", 1, -1), "exited %d" % FAULT),
    ("random bytes over the whole of memory", errno("random_get", "ii:i", 0, PAGE), "exited 0"),
    ("time of no clock", errno("clock_res_get", "ii:i", 99, 0), "exited %d" % INVAL),
    ("time behind the end", errno("clock_time_get", "iIi:i", 0, 0, PAGE - 7), "exited %d" % FAULT),
    ("write whose count lands in its own list", errno("fd_write", "iiii:i", 1, 0, 1, 0, data=words(8, 4)), "exited 0"),
    ("read into the list that says where", errno("fd_read", "iiii:i", 0, 0, 1, 64, data=words(0, 64)), "exited 0"),
    ("seek in a stream", errno("fd_seek", "iIii:i", 1, -(2**63), 2, 0), "exited %d" % SPIPE),
    ("exit by an indirect call",
     wasi_program([EXIT], i32(5) + i32(0) + b"\x11\1\0", tables=TABLE, elements=[active_elements(0, [0])]), "exited 5"),
]

GROUPS = {"odd": ODD, "malformed": MALFORMED, "invalid": INVALID, "features": FEATURES, "many": MANY, "imports": IMPORTS,
          "exports": EXPORTS, "segments": SEGMENTS, "traps": TRAPS, "endless": ENDLESS,
          "errnos": [(n, m, "exited %d" % code) for n, m, code in ERRNOS], "exits": EXITS, "names": NAMES}

# Larger than they look to a compiler.
BOMBS = {
    "additions": program(i32(1) + (i32(1) + b"\x6a") * 1000000 + DROP),
    "calls": program(call(0) * 1000000),
    "branches": program(b"\x02\x40" + (i32(0) + b"\x0d\0") * 1000000 + END),
    "nested blocks": nested(b"\x02\x40", 2000000),
    "constant expression": program(globals=[I32 + b"\0" + i32(1) + (i32(1) + b"\x6a") * 1000000 + END]),
    "functions": program(functions=[b"\0"] * 1000000, codes=[wasm.body(b"")] * 1000000),
}
