"""Small WebAssembly modules made by hand, for what no compiler would write. Binary format of the core specification."""


def leb(n):
    out = b""
    while True:
        byte, n = n & 0x7F, n >> 7
        out += bytes([byte | (0x80 if n else 0)])
        if not n:
            return out


def vector(items):
    return leb(len(items)) + b"".join(items)


def name(text):
    data = text.encode()
    return leb(len(data)) + data


def section(number, content):
    return bytes([number]) + leb(len(content)) + content


I32, I64 = b"\x7f", b"\x7e"
END = b"\x0b"


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


def custom(section_name, content):
    return section(0, name(section_name) + content)
