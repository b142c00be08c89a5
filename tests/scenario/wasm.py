"""Small WebAssembly modules made by hand, for what no compiler would write. Binary format of the core specification."""


def leb(n):
    out = b""
    while True:
        byte, n = n & 0x7F, n >> 7
        out += bytes([byte | (0x80 if n else 0)])
        if not n:
            return out


def signed_leb(n):
    out = b""
    while True:
        byte, n = n & 0x7F, n >> 7
        if (n == 0 and not byte & 0x40) or (n == -1 and byte & 0x40):
            return out + bytes([byte])
        out += bytes([byte | 0x80])


def vector(items):
    return leb(len(items)) + b"".join(items)


def name(text):
    data = text.encode() if isinstance(text, str) else text
    return leb(len(data)) + data


def section(number, content):
    return bytes([number]) + leb(len(content)) + content


HEADER = b"\0asm\x01\0\0\0"
I32, I64, V128, FUNCREF = b"\x7f", b"\x7e", b"\x7b", b"\x70"
END = b"\x0b"
DROP = b"\x1a"
UNREACHABLE = b"\0"
FOREVER = b"\x03\x40\x0c\x00\x0b"
WASI = "wasi_snapshot_preview1"


def i32(n):
    """i32.const n; numbers from 2^31 on are taken for negative ones."""
    return b"\x41" + signed_leb(n - 2**32 if n >= 2**31 else n)


def i64(n):
    return b"\x42" + signed_leb(n - 2**64 if n >= 2**63 else n)


def call(function):
    return b"\x10" + leb(function)


def loop(code):
    """`code` over and over; it leaves nothing on the stack."""
    return b"\x03\x40" + code + b"\x0c\x00" + END


def function_type(params=(), results=()):
    return b"\x60" + vector(list(params)) + vector(list(results))


def body(code, locals_=b"\x00"):
    content = locals_ + code + END
    return leb(len(content)) + content


def module(code=b"", imports=(), memory=None, table=None, start_name="_start", bodies=1, extra=b""):
    """A command whose _start is `code`.

    imports: (module, name, function type); memory: pages; table: elements; bodies: that many copies of the function;
    extra: more sections, put at the end.
    """
    types = [function_type()] + [t for _, _, t in imports]
    out = b"\0asm\x01\0\0\0" + section(1, vector(types))
    if imports:
        out += section(2, vector([name(m) + name(n) + b"\0" + leb(1 + i) for i, (m, n, _) in enumerate(imports)]))
    out += section(3, vector([b"\0"] * bodies))
    if table is not None:
        out += section(4, vector([b"\x70\x00" + leb(table)]))
    if memory is not None:
        out += section(5, vector([b"\x00" + leb(memory)]))
    exports = [name(start_name) + b"\0" + leb(len(imports))]
    if memory is not None:
        exports.append(name("memory") + b"\x02\x00")
    out += section(7, vector(exports))
    out += section(10, vector([body(code)] * bodies))
    return out + extra


def limits(least, most=None, flags=0):
    """Of a memory or, after its element type, of a table."""
    return bytes([flags | (most is not None)]) + leb(least) + (leb(most) if most is not None else b"")


def export(export_name, index=0, kind=0):
    """Kinds: 0 function, 1 table, 2 memory, 3 global."""
    return name(export_name) + bytes([kind]) + leb(index)


def imported(module_name, import_name, rest):
    """rest: kind and type, as b"\\0\\1" for a function of type 1."""
    return name(module_name) + name(import_name) + rest


MEMORY_EXPORT = export("memory", 0, 2)

# Sections in the order that a module must have them in.
ORDER = (("types", 1), ("imports", 2), ("functions", 3), ("tables", 4), ("memories", 5), ("tags", 13), ("globals", 6),
         ("exports", 7), ("start", 8), ("elements", 9), ("data_count", 12), ("codes", 10), ("data", 11))


def build(extra=b"", **sections):
    """A module of these sections. Each is a list of encoded entries; start and data_count are numbers."""
    out = HEADER
    for key, number in ORDER:
        if key in sections:
            content = sections[key]
            out += section(number, leb(content) if isinstance(content, int) else vector(content))
    return out + extra


def program(code=b"", locals_=b"\x00", types=(), imports=(), **sections):
    """A command whose _start is `code`. types: more than that of _start, from 1 on; the rest as for build()."""
    sections.setdefault("functions", [b"\0"])
    sections.setdefault("exports", [export("_start", len(imports))])
    sections.setdefault("codes", [body(code, locals_)])
    if imports:
        sections["imports"] = imports
    return build(types=[function_type(), *types], **sections)


def wasi_type(letters):
    """The type "iI:i" as runtime/wasi/table.h writes it."""
    params, results = letters.split(":")
    of = {"i": I32, "I": I64}
    return function_type([of[c] for c in params], [of[c] for c in results])


def wasi_program(calls, code, memory=1, exports=(MEMORY_EXPORT,), data=(), **sections):
    """A command that imports these functions of WASI, [(name, letters)], numbered from 0 on."""
    types = [wasi_type(letters) for _, letters in calls]
    imports = [imported(WASI, call_name, b"\0" + leb(i + 1)) for i, (call_name, _) in enumerate(calls)]
    return program(code, types=types, imports=imports, memories=[limits(memory)],
                   exports=[export("_start", len(calls)), *exports], **(dict(data=data) if data else {}), **sections)


def active(offset, content):
    """A data segment that is copied when the module starts."""
    return b"\0" + i32(offset) + END + leb(len(content)) + content


def active_elements(offset, functions):
    return b"\0" + i32(offset) + END + vector([leb(f) for f in functions])


def function_name(text):
    """A name section that calls function 0 so."""
    return custom("name", section(1, vector([leb(0) + name(text)])))


def custom(section_name, content):
    return section(0, name(section_name) + content)
