"""Mutated modules: mutant(seed, number) is always the same. Bytes changed blindly, or with respect to structure.

    python3 tests/scenario/mutants.py SEED NUMBER >mutant.wasm
"""

import random
import sys

import hostile_modules
import wasm
from wasm import leb, signed_leb

LARGEST = 20000  # bytes of a module to start from

# Numbers that matter somewhere: limits of types, of counts, and of memory.
NUMBERS = (0, 1, 2, 3, 7, 15, 16, 63, 64, 127, 128, 255, 256, 1000, 1001, 32767, 50000, 50001, 65520, 65535, 65536,
           65537, 100000, 1000000, 2**27, 2**28, 2**31 - 1, 2**31, 2**32 - 8, 2**32 - 1, 2**32, 2**48, 2**63, 2**64 - 1)


def corpus():
    """Modules to start from: the hostile ones and some that do what ordinary ones do."""
    modules = [module for group in hostile_modules.GROUPS.values() for _, module, _ in group
               if isinstance(module, bytes) and wasm.HEADER == module[:8] and len(module) < LARGEST]
    return modules + [busy(random.Random(n)) for n in range(40)]


def read_leb(data, at):
    """The number at `at`, and where it ends; raises IndexError past the end."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, at


def split(module):
    """The module's sections, [number, content]; what is no section is dropped."""
    sections, at = [], 8
    try:
        while at < len(module):
            number = module[at]
            size, at = read_leb(module, at + 1)
            sections.append([number, module[at:at + size]])
            at += size
    except IndexError:
        pass
    return sections


def join(sections):
    return wasm.HEADER + b"".join(wasm.section(number, content) for number, content in sections)


def split_bodies(content):
    """The function bodies of a code section."""
    count, at = read_leb(content, 0)
    bodies = []
    while len(bodies) < count and at < len(content):
        size, at = read_leb(content, at)
        bodies.append(content[at:at + size])
        at += size
    return bodies


def join_bodies(bodies):
    return wasm.vector([leb(len(b)) + b for b in bodies])


# --- what is done to bytes --------------------------------------------------------------------------------------

def flip(chance, data):
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1:]


def overwrite(chance, data):
    at = chance.randrange(len(data))
    return data[:at] + bytes([chance.randrange(256)]) + data[at + 1:]


def insert(chance, data):
    at = chance.randrange(len(data) + 1)
    return data[:at] + bytes(chance.randrange(256) for _ in range(chance.randrange(1, 5))) + data[at:]


def remove(chance, data):
    at = chance.randrange(len(data))
    return data[:at] + data[at + chance.randrange(1, 5):]


def repeat(chance, data):
    at = chance.randrange(len(data))
    piece = data[at:at + chance.randrange(1, 40)]
    return data[:at] + piece * chance.choice((2, 3, 10, 100)) + data[at:]


def renumber(chance, data):
    """A number of LEB128 there, or what looks like one, becomes another."""
    at = chance.randrange(len(data))
    try:
        old, end = read_leb(data, at)
    except IndexError:
        return overwrite(chance, data)
    number = chance.choice((*NUMBERS, old + 1, max(old - 1, 0)))
    return data[:at] + (leb(number) if chance.randrange(2) else signed_leb(-number)) + data[end:]


BLIND = (flip, overwrite, insert, remove, repeat, renumber)


def damage(chance, data, most):
    for _ in range(chance.randrange(1, most + 1)):
        data = chance.choice(BLIND)(chance, data) if data else insert(chance, data)
    return data


# --- kinds of mutants -------------------------------------------------------------------------------------------

def blind(chance, modules):
    """Bytes changed anywhere."""
    return damage(chance, chance.choice(modules), 6)


def sectioned(chance, modules):
    """Bytes changed within a section, whose size is then right again."""
    sections = split(chance.choice(modules))
    if not sections:
        return blind(chance, modules)
    one = chance.choice(sections)
    one[1] = damage(chance, one[1], 3)
    return join(sections)


def coded(chance, modules):
    """Bytes changed within a function, whose size is then right again."""
    sections = split(chance.choice(modules))
    code = [s for s in sections if s[0] == 10 and len(s[1]) > 2]
    if not code:
        return sectioned(chance, modules)
    bodies = split_bodies(code[0][1])
    which = chance.randrange(len(bodies))
    bodies[which] = damage(chance, bodies[which], 2)
    code[0][1] = join_bodies(bodies)
    return join(sections)


def crossed(chance, modules):
    """Sections of two modules; sections gone, twice, or elsewhere."""
    sections = split(chance.choice(modules))
    others = split(chance.choice(modules))
    for _ in range(chance.randrange(1, 4)):
        how = chance.randrange(3)
        if how == 0 and others:
            one = chance.choice(others)
            sections = [s for s in sections if s[0] != one[0] or s[0] == 0] + [one]
            sections.sort(key=lambda s: [n for _, n in wasm.ORDER].index(s[0]) if 0 < s[0] < 14 else 99)
        elif how == 1 and sections:
            sections.pop(chance.randrange(len(sections)))
        elif sections:
            sections.insert(chance.randrange(len(sections) + 1), chance.choice(sections))
    return join(sections)


# A program's instructions: code, and how many numbers (i32) it takes from the stack and leaves there.
UNARY = [bytes([b]) for b in (0x45, 0x67, 0x68, 0x69, 0xC0, 0xC1)]
BINARY = [bytes([b]) for b in (*range(0x46, 0x50), *range(0x6A, 0x79))]
LOADS = [bytes([b, 0]) for b in (0x28, 0x2C, 0x2D, 0x2E, 0x2F)]
STORES = [bytes([b, 0]) for b in (0x36, 0x3A, 0x3B)]
LOCALS = 4
CALLS = [(call_name, letters) for call_name, letters in (
    ("fd_write", "iiii:i"), ("fd_read", "iiii:i"), ("poll_oneoff", "iiii:i"), ("random_get", "ii:i"),
    ("args_get", "ii:i"), ("environ_sizes_get", "ii:i"), ("fd_close", "i:i"), ("fd_renumber", "ii:i"),
    ("fd_fdstat_get", "ii:i"), ("fd_prestat_get", "ii:i"), ("sched_yield", ":i"), ("clock_res_get", "ii:i"))]


def number(chance):
    return wasm.i32(chance.choice((chance.randrange(70000), chance.choice(NUMBERS) % 2**32, 0)))


def statements(chance, depth, budget):
    """Valid code that leaves the stack as it was. Of its blocks, some are loops that may not end."""
    out, stack = b"", 0
    for _ in range(chance.randrange(1, budget)):
        pick = chance.randrange(14)
        if pick < 3 or stack == 0 and pick < 11:
            out += number(chance) if chance.randrange(2) else b"\x20" + leb(chance.randrange(LOCALS))
            stack += 1
        elif pick < 5 and stack >= 2:
            out += chance.choice(BINARY)
            stack -= 1
        elif pick < 6 and stack:
            out += chance.choice(UNARY)
        elif pick < 7 and stack:
            out += chance.choice(LOADS) + leb(chance.choice(NUMBERS) % 2**32)
        elif pick < 8 and stack >= 2:
            out += chance.choice(STORES) + leb(chance.randrange(100))
            stack -= 2
        elif pick < 9 and stack:
            out += b"\x21" + leb(chance.randrange(LOCALS))
            stack -= 1
        elif pick == 9:
            which = chance.randrange(len(CALLS))
            out += b"".join(number(chance) for _ in CALLS[which][1].split(":")[0]) + wasm.call(which)
            stack += 1
        elif pick == 10 and stack:
            out += b"\x40\0"  # memory.grow
        elif pick == 11 and depth:
            out += b"\x03\x40" + statements(chance, depth - 1, budget) + number(chance) + b"\x0d\0" + wasm.END
        elif pick == 12 and depth:
            out += number(chance) + b"\x04\x40" + statements(chance, depth - 1, budget) + wasm.END
        elif pick == 13:
            out += wasm.call(len(CALLS) + chance.randrange(3)) if chance.randrange(4) == 0 else b"\x01"
    return out + wasm.DROP * stack


def busy(chance):
    """A valid program of three functions that computes, calls each other and WASI."""
    locals_ = b"\x01" + leb(LOCALS) + wasm.I32
    codes = [wasm.body(statements(chance, 3, 12), locals_) for _ in range(3)]
    return wasm.wasi_program(CALLS, b"", memory=chance.choice((0, 1, 2, 4096)), functions=[b"\0"] * 3, codes=codes,
                             data=[wasm.active(0, bytes(chance.randrange(256) for _ in range(chance.randrange(99))))])


def valid(chance, modules):
    del modules
    return busy(chance)


KINDS = (blind, sectioned, coded, coded, crossed, valid)


def mutant(seed, number_, modules):
    """The name of its kind, and its bytes."""
    chance = random.Random("%d/%d" % (seed, number_))
    kind = chance.choice(KINDS)
    return kind.__name__, kind(chance, modules)


if __name__ == "__main__":
    sys.stdout.buffer.write(mutant(int(sys.argv[1]), int(sys.argv[2]), corpus())[1])
